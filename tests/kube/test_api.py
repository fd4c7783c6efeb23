"""Each call against the mini cluster: what is sent is understood, and what comes back is typed."""

import asyncio

import pytest

from devkit.minicluster.faults import CutWatch, FaultRule, Refuse, Slow, WatchGone, refuse, too_many_requests
from devkit.minicluster.statuses import conflict
from k8s_hub.kube.core.errors import Conflict, Invalid, NotFound, RelistRequired, Unavailable
from k8s_hub.kube.core.resources import EVENTS, PODS
from k8s_hub.kube.core.watch import Bookmark, Error, Removed, Updated
from k8s_hub.objects.keys import Key, key_of, uid_of
from tests.kube.samples import NAMESPACE, key, pod, remove, set_phase


async def test_create_get_delete(api):
    created = await api.create(PODS, NAMESPACE, pod())
    assert await api.get(PODS, key()) == created

    await api.delete(PODS, key(), grace_seconds=0)
    with pytest.raises(NotFound):
        await api.get(PODS, key())
    with pytest.raises(NotFound):
        await api.delete(PODS, key())


async def test_creating_twice_is_a_conflict_that_says_so(api):
    await api.create(PODS, NAMESPACE, pod())

    with pytest.raises(Conflict) as caught:
        await api.create(PODS, NAMESPACE, pod())
    assert caught.value.already_exists


async def test_a_create_that_lost_a_race_for_another_object_may_be_repeated(api, cluster):
    lost = conflict("resourcequotas", "users", "the object has been modified").body
    cluster.faults.add(FaultRule(effect=refuse(lost), count=1))

    with pytest.raises(Unavailable) as caught:
        await api.create(PODS, NAMESPACE, pod())
    assert (caught.value.code, caught.value.reason, caught.value.status) == (409, "Conflict", lost)
    assert await api.create(PODS, NAMESPACE, pod())


async def test_deleting_by_uid_spares_another_of_that_name(api):
    created = await api.create(PODS, NAMESPACE, pod())

    with pytest.raises(Conflict) as caught:
        await api.delete(PODS, key(), uid="another")
    assert not caught.value.already_exists

    await api.delete(PODS, key(), uid=uid_of(created), grace_seconds=0)


async def test_a_list_comes_in_pages_of_one_version(api):
    for number in range(5):
        await api.create(PODS, NAMESPACE, pod(f"p{number}", app="x"))
    await api.create(PODS, NAMESPACE, pod("other", app="y"))

    pages = [page async for page in api.list_pages(PODS, NAMESPACE, label_selector="app=x", limit=2)]

    assert [len(page.items) for page in pages] == [2, 2, 1]
    assert [page.is_first for page in pages] == [True, False, False]
    assert len({page.resource_version for page in pages}) == 1
    assert [key_of(item).name for page in pages for item in page.items] == [f"p{n}" for n in range(5)]


async def test_a_continue_token_that_is_too_old_is_gone(api, cluster):
    for number in range(3):
        await api.create(PODS, NAMESPACE, pod(f"p{number}"))
    first = await api.list_page(PODS, NAMESPACE, limit=1)
    remove(cluster, "p2")
    cluster.compact()

    with pytest.raises(RelistRequired):
        await api.list_page(PODS, NAMESPACE, limit=1, continue_token=first.continue_token)


async def test_all_namespaces(api):
    await api.create(PODS, NAMESPACE, pod())
    await api.create(PODS, "other", pod())

    page = await api.list_page(PODS, None)

    assert {key_of(item) for item in page.items} == {key(), Key("other", "ada")}


async def test_field_selectors(api):
    page = await api.list_page(EVENTS, NAMESPACE, field_selector="involvedObject.name=ada", limit=1)

    assert list(page.items) == []


async def version(api):
    return (await api.list_page(PODS, NAMESPACE)).resource_version


async def test_a_watch_tells_what_happens(api, cluster):
    start = await version(api)
    async with api.watch(PODS, NAMESPACE, resource_version=start) as events:
        await api.create(PODS, NAMESPACE, pod())
        set_phase(cluster, "ada", "Running")
        remove(cluster, "ada")

        heard = [await anext(events) for _ in range(3)]

    assert [type(one) for one in heard] == [Updated, Updated, Removed]


@pytest.mark.looptime
async def test_a_watch_is_kept_awake_by_bookmarks_and_ends_when_asked(api):
    loop = asyncio.get_running_loop()
    begin = loop.time()
    async with api.watch(PODS, NAMESPACE, resource_version=await version(api), timeout_seconds=200) as events:
        heard = [type(one) async for one in events]

    assert set(heard) == {Bookmark}
    assert len(heard) >= 3
    assert loop.time() - begin == pytest.approx(200, abs=1)


async def read_to_the_end(watch):
    """Return all that a watch says; raise the error it ends with, as HTTP status or in the stream."""
    heard = []
    async with watch as events:
        async for one in events:
            if isinstance(one, Error):
                raise one.error
            heard.append(one)
    return heard


async def test_a_watch_from_too_long_ago_is_gone(api, cluster):
    start = await version(api)
    await api.create(PODS, NAMESPACE, pod())
    cluster.compact()

    with pytest.raises(RelistRequired):
        await read_to_the_end(api.watch(PODS, NAMESPACE, resource_version=start))


async def test_410_in_the_stream_is_told_as_such(api, cluster):
    async with api.watch(PODS, NAMESPACE, resource_version=await version(api)) as events:
        cluster.faults.add(FaultRule(effect=WatchGone(), verb="watch"))
        heard = [one async for one in events]

    assert [type(one.error) for one in heard] == [RelistRequired]


async def test_a_watch_cut_in_mid_line_tells_whole_events_only(api, cluster):
    async with api.watch(PODS, NAMESPACE, resource_version=await version(api)) as events:
        cluster.faults.add(FaultRule(effect=CutWatch(), verb="watch"))
        await api.create(PODS, NAMESPACE, pod())

        with pytest.raises(Unavailable):
            await anext(events)


async def test_a_busy_server_says_when_to_come_back(api, cluster):
    cluster.faults.add(FaultRule(effect=too_many_requests(7)))

    with pytest.raises(Unavailable) as caught:
        await api.get(PODS, key())
    assert (caught.value.code, caught.value.retry_after) == (429, 7.0)


@pytest.mark.looptime
async def test_a_list_may_take_longer_than_a_request(api, cluster):
    cluster.faults.add(FaultRule(effect=Slow(seconds=8)))

    await api.list_page(PODS, NAMESPACE)
    with pytest.raises(Unavailable, match="within 3 s"):
        await api.get(PODS, key())


async def test_calls_are_counted_by_verb_resource_and_code(api, cluster):
    from prometheus_client import REGISTRY

    def count(code):
        labels = {"verb": "get", "resource": "pods", "code": code}
        return REGISTRY.get_sample_value("k8s_hub_kube_requests_total", labels) or 0

    before = count("422"), count("200")
    cluster.faults.add(FaultRule(effect=Refuse(code=422, body="no"), count=1))
    with pytest.raises(Invalid):
        await api.get(PODS, key())
    await api.create(PODS, NAMESPACE, pod())
    await api.get(PODS, key())

    assert (count("422"), count("200")) == (before[0] + 1, before[1] + 1)
