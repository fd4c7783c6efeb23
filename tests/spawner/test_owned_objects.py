"""Objects that a start creates after the pod and that go with it, with and without failures; here a Service."""

import asyncio

import pytest

from devkit.minicluster.faults import CommitAfterDisconnect, Refuse, ReplyLost, RequestLost, refuse
from devkit.minicluster.resources import SERVICES
from devkit.minicluster.statuses import conflict, status_body
from devkit.testing.eventually import eventually
from devkit.testing.runs import NAMESPACE, Run, pods, sentence_of, sentences, struck
from k8s_hub.objects.keys import Key, owner_uids, uid_of
from tests.spawner.secure import serve_names

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

FULL = status_body(
    403,
    "Forbidden",
    "services is forbidden: exceeded quota: q, requested: services=1, used: services=5, limited: services=5",
)


@pytest.fixture(autouse=True)
def _names(cluster, monkeypatch):
    serve_names(monkeypatch, cluster)


def services(cluster):
    return list(cluster.database.all(SERVICES, NAMESPACE))


def plant(cluster, *, username="ada", **metadata):
    """Leave a Service of an earlier pod behind."""
    annotations = {"hub.jupyter.org/username": username}
    body = {"name": "jupyter-ada", "namespace": NAMESPACE, "annotations": annotations, **metadata}
    return cluster.database.create(SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": body}).obj


async def test_a_service_is_the_servers_address_and_goes_with_it(cluster):
    run = Run(services_enabled=True)
    assert await run.start() == "http://jupyter-ada.default.svc.cluster.local:8888"
    (service,) = services(cluster)
    (pod,) = pods(cluster)
    assert owner_uids(service) == {uid_of(pod)}
    await run.stop()
    assert services(cluster) == []


async def test_a_hub_serves_by_the_name(hub, cluster):
    async with hub(services_enabled=True) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert hub.routes["/user/ada/"]["target"] == "http://jupyter-ada.default.svc.cluster.local:8888"
        await hub.restart()
        assert hub.spawner("ada").ready


async def test_a_hub_that_does_not_know_the_name_says_so(cluster, monkeypatch, caplog):
    """Such as one outside the cluster, which has another DNS."""
    monkeypatch.setattr("tests.spawner.secure.resolve", lambda cluster, host: None)
    run = Run(services_enabled=True, http_timeout=10)
    with pytest.raises(Exception) as failure:  # noqa: PT011 - of either version of the hub
        await run.start()
    assert "did not respond within 10 s" in sentence_of(failure.value)
    url = "http://jupyter-ada.default.svc.cluster.local:8888/user/ada/api"
    assert f"{url} has a host name that the hub cannot resolve" in str(failure.value)
    await run.stop()


async def test_without_the_option_there_is_none_and_nobody_asks(cluster, witness):
    run = Run()
    await run.start()
    await run.stop()
    assert not [call for call in witness.calls if call.resource in {"services", "secrets"}]


@pytest.mark.parametrize("effect", [ReplyLost(), RequestLost()], ids=["reply lost", "request lost"])
async def test_a_create_whose_outcome_is_unknown_is_settled(cluster, effect):
    """What the lost request has created is known by its mark, and kept."""
    with struck(cluster, effect, verb="create", resource="services") as rule:
        asyncio.get_running_loop().call_later(0.5, cluster.faults.remove, rule)
        run = Run(services_enabled=True)
        starting = asyncio.create_task(run.start())
        await asyncio.sleep(0.4)
        made = services(cluster)
        await starting
        assert len(services(cluster)) == 1
        assert not made or made == services(cluster)
        cluster.faults.add(rule)
    await run.stop()


async def test_what_is_dying_is_waited_for(cluster):
    old = plant(cluster, deletionTimestamp="2100-01-01T00:00:00Z", finalizers=["example.org/balancer"])
    run = Run(services_enabled=True)
    starting = asyncio.create_task(run.start())
    await asyncio.sleep(10)
    assert not starting.done()
    cluster.database.remove(SERVICES, Key(NAMESPACE, "jupyter-ada"))
    await starting
    (service,) = services(cluster)
    assert uid_of(service) != uid_of(old)
    assert "Parts of your previous server are still being removed." in await sentences(run)


async def test_a_refused_service_fails_the_start_with_its_reason_and_leaves_no_pod(cluster):
    with struck(cluster, Refuse(code=403, body=FULL), verb="create", resource="services"):
        run = Run(services_enabled=True)
        with pytest.raises(Exception) as failure:  # noqa: PT011 - of either version of the hub
            await run.start()
    assert "Not enough quota: the network name (Service) of your server needs" in sentence_of(failure.value)
    await run.stop()
    assert pods(cluster) == services(cluster) == []


async def test_a_service_whose_create_lost_a_race_is_asked_for_again(cluster):
    run = Run(services_enabled=True)
    lost = refuse(conflict("resourcequotas", "users", "the object has been modified").body)
    with struck(cluster, lost, verb="create", resource="services", count=3):
        await run.start()
    assert len(services(cluster)) == 1
    assert "The cluster is busy. Your server is waiting for its turn." in await sentences(run)


async def test_a_start_that_is_cancelled_meanwhile_leaves_nothing(cluster):
    """The Service comes to exist after its start has ended, and even after the stop: its owner is gone."""
    effect = CommitAfterDisconnect(seconds=5)
    with struck(cluster, effect, verb="create", resource="services"):
        run = Run(services_enabled=True)
        starting = asyncio.create_task(run.start())
        await eventually(lambda: pods(cluster))
        await asyncio.sleep(0.5)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await run.stop()
    await asyncio.sleep(30)
    assert pods(cluster) == services(cluster) == []


async def test_somebody_elses_service_outlives_start_and_stop(cluster):
    other = plant(cluster, username="bob")
    run = Run(services_enabled=True)
    with pytest.raises(Exception) as failure:  # noqa: PT011 - of either version of the hub
        await run.start()
    assert 'user "bob" already uses the name "jupyter-ada"' in sentence_of(failure.value)
    await run.stop()
    assert services(cluster) == [other]


async def test_a_stop_goes_on_where_the_service_cannot_be_deleted(cluster):
    """Its owner reference is left, which needs no hub."""
    run = Run(services_enabled=True)
    await run.start()
    denied = status_body(
        403, "Forbidden", 'services "x" is forbidden: User "hub" cannot delete resource "services"'
    )
    with struck(cluster, Refuse(code=403, body=denied), verb="delete", resource="services"):
        await run.stop()
    assert pods(cluster) == []
    await eventually(lambda: not services(cluster))
