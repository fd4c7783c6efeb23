"""What is shared is opened once, by whoever comes first, and ended by one call."""

import asyncio
import gc
from dataclasses import replace

import pytest

from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.core.errors import ConfigurationError
from k8s_hub.kube.core.resources import CLAIMS, PODS
from k8s_hub.kube.event_subscription import Involved
from k8s_hub.kube.pending_deletes import Delete
from k8s_hub.kube.pool import InformerPool, _pools, freeze_gc_baseline
from tests.kube.samples import NAMESPACE, key, project


@pytest.fixture
async def pool():
    pool = InformerPool()
    yield pool
    await pool.close()


async def test_two_hundred_callers_share_one_connection_and_one_list(pool, settings, counted, soon):
    informers = await asyncio.gather(
        *(pool.informer(settings, PODS, NAMESPACE, project=project) for _ in range(200))
    )
    await asyncio.gather(*(informer.wait_synced(deadline=soon()) for informer in informers))

    assert len(set(map(id, informers))) == 1
    assert counted("list") == 1


async def test_each_scope_has_its_own_informer(pool, settings):
    informers = {
        await pool.informer(settings, PODS, NAMESPACE, project=project),
        await pool.informer(settings, PODS, "other", project=project),
        await pool.informer(settings, PODS, None, project=project),
        await pool.informer(settings, PODS, NAMESPACE, label_selector="a=b", project=project),
        await pool.informer(settings, CLAIMS, NAMESPACE, project=project),
        await pool.informer(replace(settings, request_timeout=9), PODS, NAMESPACE, project=project),
    }

    assert len(informers) == 6


async def test_an_informer_that_nobody_needs_yet_asks_nothing(pool, settings, counted, soon):
    idle = await pool.informer(settings, CLAIMS, NAMESPACE, project=project, start=False)
    other = await pool.informer(settings, PODS, NAMESPACE, project=project)
    await other.wait_synced(deadline=soon())
    assert counted("list") == 1
    assert not idle.is_synced

    assert await pool.informer(settings, CLAIMS, NAMESPACE, project=project) is idle
    await idle.wait_synced(deadline=soon())
    assert counted("list") == 2


async def test_sharing_with_another_projection_is_a_bug_that_is_told(pool, settings):
    await pool.informer(settings, PODS, NAMESPACE, project=project)

    with pytest.raises(ValueError, match="pods in hub is shared: pass the same projection"):
        await pool.informer(settings, PODS, NAMESPACE, project=dict)


async def test_a_cancelled_caller_does_not_take_the_others_connection(pool, settings):
    callers = [asyncio.create_task(pool.api(settings)) for _ in range(3)]
    await asyncio.sleep(0)
    callers[0].cancel()

    done = await asyncio.gather(*callers, return_exceptions=True)

    assert isinstance(done[0], asyncio.CancelledError)
    assert done[1] is done[2]


async def test_a_failure_is_told_to_all_and_not_remembered(pool, cluster, tmp_path):
    settings = ConnectionSettings(kubeconfig=str(tmp_path / "later"))
    failures = await asyncio.gather(*(pool.api(settings) for _ in range(5)), return_exceptions=True)
    assert {type(failure) for failure in failures} == {ConfigurationError}

    cluster.write_kubeconfig(tmp_path / "later")

    assert (await pool.api(settings)).host == cluster.url


async def test_a_failure_that_nobody_waited_for_makes_no_noise(pool, tmp_path, caplog):
    caller = asyncio.create_task(pool.api(ConnectionSettings(kubeconfig=str(tmp_path / "nowhere"))))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    await asyncio.sleep(0.01)

    assert caplog.records == []


async def test_closing_ends_everything_and_the_pool_can_begin_again(pool, settings, soon):
    names = {f"informer of pods in {NAMESPACE}", f"events in {NAMESPACE}", "pending deletes"}
    informer = await pool.informer(settings, PODS, NAMESPACE, project=project)
    async with (await pool.events(settings, NAMESPACE)).subscribe(Involved("Pod", key())):
        pass
    (await pool.pending_deletes(settings)).add(Delete(resource=PODS, key=key(), uid="u"), "a test")

    assert {task.get_name() for task in asyncio.all_tasks()} >= names

    await pool.close()

    assert not {task.get_name() for task in asyncio.all_tasks()} & names
    again = await pool.informer(settings, PODS, NAMESPACE, project=project)
    assert again is not informer
    await again.wait_synced(deadline=soon())


async def test_closing_ends_the_rest_where_one_part_cannot_be_closed(pool, settings):
    class Broken:
        async def close(self):
            raise RuntimeError("cannot close")

    other = replace(settings, request_timeout=settings.request_timeout + 1)
    for each in (settings, other):
        await pool.informer(each, PODS, NAMESPACE, project=project)
    pool.library(settings).rest_client = Broken()  # of the client library
    assert "informer of pods in hub" in tasks()

    with pytest.raises(RuntimeError, match="cannot close"):
        await pool.close()

    assert "informer of pods in hub" not in tasks()
    assert await pool.api(settings)


async def test_closing_while_a_connection_is_being_opened(pool, settings):
    caller = asyncio.create_task(pool.api(settings))
    await asyncio.sleep(0)

    await pool.close()

    with pytest.raises(asyncio.CancelledError):
        await caller


class Holder:
    """Somebody who needs the views of a namespace."""


def tasks():
    return {task.get_name() for task in asyncio.all_tasks()}


async def test_what_the_last_holder_releases_is_ended_and_nothing_else(pool, settings):
    first, second = Holder(), Holder()
    await pool.informer(settings, PODS, "other", project=project)
    for holder in (first, second):
        await pool.hold(settings, NAMESPACE, holder)
        await pool.informer(settings, PODS, NAMESPACE, project=project)
    async with (await pool.events(settings, NAMESPACE)).subscribe(Involved("Pod", key())):
        pass

    await pool.release(settings, NAMESPACE, first)
    assert tasks() >= {f"informer of pods in {NAMESPACE}", f"events in {NAMESPACE}"}

    await pool.release(settings, NAMESPACE, second)
    assert not tasks() & {f"informer of pods in {NAMESPACE}", f"events in {NAMESPACE}"}
    assert "informer of pods in other" in tasks()


async def test_a_holder_that_is_forgotten_holds_no_more(pool, settings):
    first, second = Holder(), Holder()
    for holder in (first, second):
        await pool.hold(settings, NAMESPACE, holder)
    await pool.informer(settings, PODS, NAMESPACE, project=project)
    del holder, second

    await pool.release(settings, NAMESPACE, first)

    assert f"informer of pods in {NAMESPACE}" not in tasks()


async def test_a_view_can_be_had_again_while_the_old_one_ends(pool, settings, soon):
    first, second = Holder(), Holder()
    await pool.hold(settings, NAMESPACE, first)
    old = await pool.informer(settings, PODS, NAMESPACE, project=project)
    await old.wait_synced(deadline=soon())

    ending = asyncio.create_task(pool.release(settings, NAMESPACE, first))
    await asyncio.sleep(0)
    await pool.hold(settings, NAMESPACE, second)
    new = await pool.informer(settings, PODS, NAMESPACE, project=project)
    await ending

    assert new is not old
    await new.wait_synced(deadline=soon())


async def test_a_release_that_is_cancelled_ends_everything_all_the_same(pool, settings):
    holder = Holder()
    await pool.hold(settings, NAMESPACE, holder)
    for resource in (PODS, CLAIMS):
        await pool.informer(settings, resource, NAMESPACE, project=project)
    releasing = asyncio.create_task(pool.release(settings, NAMESPACE, holder))
    await asyncio.sleep(0)

    releasing.cancel()
    await asyncio.wait([releasing])

    assert releasing.cancelled()
    assert not [name for name in tasks() if name.startswith("informer of")]


async def test_releasing_what_was_never_held_is_harmless(pool, settings):
    await pool.release(settings, NAMESPACE, Holder())
    await pool.api(settings)
    await pool.release(settings, NAMESPACE, Holder())


async def test_events_and_pending_deletes_are_shared(pool, settings):
    assert await pool.events(settings, NAMESPACE) is await pool.events(settings, NAMESPACE)
    assert await pool.pending_deletes(settings) is await pool.pending_deletes(settings)


def test_each_loop_has_its_own_pool_and_a_closed_one_is_forgotten():
    async def ask():
        first = InformerPool.for_current_loop()
        return first, first is InformerPool.for_current_loop()

    one, is_shared = asyncio.run(ask())
    other, _ = asyncio.run(ask())

    assert is_shared
    assert one is not other
    assert one not in _pools.values()


@pytest.fixture(autouse=True)
def _as_in_a_new_process():
    gc.unfreeze()
    freeze_gc_baseline.cache_clear()


async def test_the_first_connection_exempts_what_the_process_is_made_of(settings):
    pool = InformerPool()
    await pool.api(settings)
    assert gc.get_freeze_count() > 10_000
    await pool.close()


def test_once_only_so_that_a_later_cycle_is_collected():
    freeze_gc_baseline()
    cycle: list[object] = []
    cycle.append(cycle)
    freeze_gc_baseline()
    del cycle
    assert gc.collect() > 0


async def test_the_informers_of_a_resource_are_found_in_all_namespaces(pool, settings):
    first = await pool.informer(settings, PODS, NAMESPACE, project=project)
    second = await pool.informer(settings, PODS, "other", project=project)
    await pool.informer(settings, CLAIMS, NAMESPACE, project=project)

    assert await pool.informers_of(settings, PODS) == [first, second]


async def test_a_background_task_ends_with_the_pool(pool, settings):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await pool.run(settings, work(), name="some work")
    await begun.wait()
    assert not ended.is_set()
    await pool.close()

    assert ended.is_set()
