"""The hub hears of a server's end at once, not at its next poll."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from devkit.minicluster.faults import EventLost, FaultRule, WatchGone
from devkit.minicluster.resources import PODS
from devkit.minicluster.runtime import Exit
from devkit.testing.eventually import eventually
from devkit.testing.runs import NAMESPACE, CallRecorder, edit_pod, pods, restart_process
from k8s_hub.objects.keys import Key

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

RARELY = {"poll_interval": 300, "poll_jitter": 0}
NO_WAIT = {"tornado_settings": {"slow_spawn_timeout": 0}}


async def ended(cluster):
    await cluster.container(NAMESPACE, "jupyter-ada").end(Exit.of(0))


async def evicted(cluster):
    cluster.database.update(
        PODS,
        Key(NAMESPACE, "jupyter-ada"),
        lambda pod: {
            **pod,
            "status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."},
        },
    )


async def removed(cluster):
    cluster.database.remove(PODS, Key(NAMESPACE, "jupyter-ada"))


async def deleted_by_somebody(cluster):
    edit_pod(cluster, deletionTimestamp="2100-01-01T00:01:00Z", deletionGracePeriodSeconds=30)


ENDS = {"Completed": ended, "Evicted": evicted, "Removed": removed, "Deleted": deleted_by_somebody}


def is_known(hub, user="ada"):
    """Tell whether the hub has a server and a route for this user."""
    spawner = hub.spawner(user)
    return (spawner is not None and spawner.active) or f"/user/{user}/" in hub.routes


def counted(reason):
    return REGISTRY.get_sample_value("k8s_hub_server_ends_total", {"reason": reason}) or 0


@pytest.mark.parametrize(("reason", "end"), ENDS.items(), ids=ENDS)
async def test_the_hub_hears_of_an_end_within_a_second(hub, cluster, reason, end):
    before = counted(reason)
    async with hub(**RARELY) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        await asyncio.sleep(10)
        begun = asyncio.get_running_loop().time()

        await end(cluster)
        await eventually(lambda: not is_known(hub), seconds=5)

        assert asyncio.get_running_loop().time() - begun < 1
        assert counted(reason) == before + 1


async def test_a_restarted_hub_hears_of_it_too(hub, cluster):
    async with hub(**RARELY) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        await hub.kill()
        await restart_process()
        await hub.boot()
        await hub.wait_ready("ada")

        await ended(cluster)
        await eventually(lambda: not is_known(hub), seconds=1)


@pytest.mark.parametrize("end", [removed, evicted])
async def test_polls_hear_of_an_end_whose_event_got_lost(hub, cluster, end):
    """No later event repairs that, and neither does a watch that resumes."""
    async with hub(**RARELY) as hub:
        for user in ("ada", "bob"):
            await hub.start_server(user)
            await hub.wait_ready(user)
        cluster.faults.add(FaultRule(effect=EventLost(), verb="watch", resource="pods", count=1))
        await end(cluster)
        edit_pod(cluster, "jupyter-bob", labels={"component": "singleuser-server", "touched": "yes"})

        await eventually(lambda: not is_known(hub), seconds=900)  # the second poll
        assert is_known(hub, "bob")


async def test_the_list_after_lost_history_tells_of_an_end_at_once(hub, cluster):
    async with hub(**RARELY) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        cluster.faults.add(FaultRule(effect=WatchGone(), verb="watch", resource="pods", count=1))
        await removed(cluster)

        await eventually(lambda: not is_known(hub), seconds=10)


async def test_polls_of_many_servers_ask_about_one_each_second(hub, cluster):
    async with hub(poll_interval=10, poll_jitter=0) as hub:
        for user in ("ada", "bob"):
            await hub.start_server(user)
            await hub.wait_ready(user)
        await asyncio.sleep(35)  # between two polls
        witness = cluster.faults.add(CallRecorder())

        await asyncio.gather(*(hub.spawner(user).poll() for user in ("ada", "bob") * 20))
        assert len(witness.calls) == 1


async def test_the_end_of_another_users_server_is_not_asked_about(hub, cluster):
    """Neither is any other change of a pod that is alive."""
    async with hub(**RARELY) as hub:
        for user in ("ada", "bob"):
            await hub.start_server(user)
            await hub.wait_ready(user)
        witness = cluster.faults.add(CallRecorder())
        edit_pod(cluster, "jupyter-bob", labels={"component": "singleuser-server", "touched": "yes"})
        await ended(cluster)
        await eventually(lambda: not is_known(hub), seconds=1)

        assert is_known(hub, "bob")
        assert not [call for call in witness.calls if call.name == "jupyter-bob"]


async def test_a_hook_of_the_stop_after_an_end_may_poll(hub, cluster):
    codes = []

    async def poll(spawner):
        async with asyncio.timeout(3):
            codes.append(await spawner.poll_and_notify())

    async with hub(**RARELY, post_stop_hook=poll) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

        await removed(cluster)
        await eventually(lambda: not is_known(hub), seconds=5)
        assert codes == [0]


async def test_a_stop_is_not_taken_for_an_end(hub, cluster, caplog):
    async with hub(**RARELY) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

        await hub.stop_server("ada")
        await hub.wait_stopped("ada")

        assert pods(cluster) == []
        assert "server stopped, with exit code" not in caplog.text


async def test_an_end_and_a_stop_at_once_are_one(hub, cluster):
    async with hub(**RARELY) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        stop = asyncio.create_task(hub.stop_server("ada"))
        await removed(cluster)

        assert await stop in {202, 204}
        await eventually(lambda: not is_known(hub), seconds=10)
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert len(pods(cluster)) == 1


def _remove_before_the_route(hub, cluster, monkeypatch, *, seconds):
    """Have the server's pod go so many seconds before the hub has added its route."""
    add_user = hub.app.proxy.add_user

    async def slowly(*args):
        await removed(cluster)
        await asyncio.sleep(seconds)
        await add_user(*args)

    monkeypatch.setattr(hub.app.proxy, "add_user", slowly)


async def test_an_end_before_the_hub_listens_is_heard_of_soon_after(hub, cluster, monkeypatch):
    """The server has answered the hub, and its pod goes while the hub adds the route."""
    async with hub() as hub:
        _remove_before_the_route(hub, cluster, monkeypatch, seconds=1)
        await hub.start_server("ada")
        await eventually(lambda: not is_known(hub), seconds=10)


async def test_a_poll_before_the_hub_listens_does_not_keep_an_end_from_it(hub, cluster, monkeypatch):
    async with hub(hub=NO_WAIT, poll_interval=2, poll_jitter=0) as hub:
        _remove_before_the_route(hub, cluster, monkeypatch, seconds=9)
        await hub.start_server("ada")
        await eventually(lambda: "/user/ada/" in hub.routes, seconds=20)
        await eventually(lambda: not is_known(hub), seconds=10)


# --- How often the hub asks ---


def interval(hub, user="ada"):
    return hub.spawner(user)._poll_callback.callback_time / 1000


async def restarted(hub, cluster, *, is_away=False):
    await hub.kill()
    await restart_process()
    if is_away:
        await cluster.go_away()
    await hub.boot()
    await hub.wait_ready("ada")


@pytest.mark.parametrize(
    ("options", "seconds"), [({}, 300), ({"poll_interval": 45}, 45)], ids=["unset", "set"]
)
async def test_a_server_that_the_watch_shows_is_polled_rarely(hub, cluster, options, seconds):
    async with hub(**options) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert interval(hub) == seconds
        await restarted(hub, cluster)
        assert interval(hub) == seconds


@pytest.mark.parametrize(("wanted", "seconds"), [(None, 300), (30, 30)], ids=["unset", "set"])
async def test_a_hook_may_read_and_set_the_poll_interval(hub, cluster, wanted, seconds):
    def look(spawner):
        before = spawner.poll_interval
        if wanted is not None:
            assert wanted == before
            spawner.poll_interval = wanted

    async with hub(pre_spawn_hook=look) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert interval(hub) == seconds


@pytest.mark.parametrize("options", [{"component_label": "other"}, {}], ids=["not in the view", "no view"])
async def test_a_server_that_no_watch_shows_is_polled_as_often_as_by_jupyterhub(hub, cluster, options):
    """Its pod has another component label since the hub's restart, or the API server was away."""
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        hub.config.KubeSpawner.update(options)
        await restarted(hub, cluster, is_away=not options)
        assert interval(hub) == 30


async def test_a_start_that_is_requested_while_the_hub_hears_of_the_end_is_not_lost(hub, cluster):
    """The hub's stop of the ended server would otherwise end in the middle of the new start, and forget it."""
    async with hub(**RARELY) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        delete_route, is_deleting = hub.app.proxy.delete_route, asyncio.Event()

        async def slow_delete(routespec):
            is_deleting.set()
            await asyncio.sleep(2)
            await delete_route(routespec)

        hub.app.proxy.delete_route = slow_delete
        await evicted(cluster)
        await is_deleting.wait()
        assert await hub.start_server("ada") in {201, 202}
        await hub.wait_ready("ada")
        await asyncio.sleep(60)

        assert hub.spawner("ada").ready
        assert "/user/ada/" in hub.routes
        assert len(pods(cluster)) == 1
