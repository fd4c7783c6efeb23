"""docs/lifecycle.md, the rows of a hub's restart: how a real hub handles the servers that it finds."""

import asyncio

import pytest

from devkit.minicluster.faults import FaultRule, Slow
from devkit.minicluster.resources import CLAIMS, PODS
from devkit.testing.eventually import eventually
from devkit.testing.runs import NAMESPACE, claims, pods, restart_process, takes
from k8s_hub.kube.api import PAGE_SIZE
from k8s_hub.objects.keys import Key, key_of, uid_of
from k8s_hub.spawner.kubespawner import PollInterval
from tests.spawner.cells import AWAY, UP, cell

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

NO_WAIT = {"tornado_settings": {"slow_spawn_timeout": 0}}
"""The hub answers at once; a start goes on behind it."""

OTHER_NAMES = {
    "pod_name_template": "{username}--{servername}--renamed",
    "pvc_name_template": "renamed-{user_server}",
}


async def start(hub):
    await hub.start_server("ada")
    await hub.wait_ready("ada", seconds=120)


async def kill(hub):
    """End the hub's process, with all that it has in memory and open."""
    await hub.kill()
    await restart_process()


def reconfigure(hub, **options):
    hub.config.KubeSpawner.update(options)


@cell("hub restart, server ran", UP)
@pytest.mark.parametrize("options", [{}, OTHER_NAMES], ids=["same names", "other names"])
async def test_hub_restart_server_ran__api_up(hub, cluster, looptime, options):
    """Found by its saved name, whatever the templates give now; its user notices nothing."""
    async with hub() as hub:
        await start(hub)
        (pod,), routes = pods(cluster), dict(hub.routes)
        await kill(hub)
        reconfigure(hub, **options)

        begun = float(looptime)
        await hub.boot()
        await hub.wait_ready("ada")

        assert looptime - begun < 2
        assert [uid_of(each) for each in pods(cluster)] == [uid_of(pod)]
        assert hub.routes == routes
        assert hub.spawner("ada").get_state()["pod_name"] == "jupyter-ada"


@cell("hub restart, server ran", UP)
async def test_hub_restart_server_ran_without_its_name__api_up(hub, cluster):
    """A pod whose saved name is lost is found by its owner."""
    async with hub() as hub:
        await start(hub)
        (pod,) = pods(cluster)
        hub.app.users["ada"].orm_spawners[""].state = {}
        hub.app.db.commit()
        await kill(hub)
        reconfigure(hub, **OTHER_NAMES)

        await hub.boot()
        await hub.wait_ready("ada")
        assert [uid_of(each) for each in pods(cluster)] == [uid_of(pod)]

        await hub.stop_server("ada")
        await hub.wait_stopped("ada")
        assert pods(cluster) == []


async def test_hub_restart_the_server_has_ended_meanwhile(hub, cluster):
    async with hub() as hub:
        await start(hub)
        await kill(hub)
        cluster.database.remove(PODS, Key(NAMESPACE, "jupyter-ada"))

        await hub.boot()
        await hub.wait_stopped("ada")

        await start(hub)
        assert len(pods(cluster)) == len(claims(cluster)) == 1


@pytest.mark.slow
async def test_hub_restart_server_ran__long_list(hub, cluster):
    """Each page of the list of all pods comes in time, and all together do not: poll() waits for the last one."""
    async with hub() as hub:
        await start(hub)
        (pod,) = pods(cluster)
        for number in range(4 * PAGE_SIZE):
            cluster.database.create(PODS, {**pod, "metadata": {**pod["metadata"], "name": f"other-{number}"}})
        await kill(hub)
        cluster.faults.add(FaultRule(verb="list", resource="pods", effect=Slow(seconds=2)))

        await hub.boot()
        await hub.wait_ready("ada")
        assert hub.spawner("ada").poll_interval == PollInterval.WATCHED


@cell("hub restart, server ran", AWAY)
async def test_hub_restart_server_ran__api_away(hub, cluster, looptime):
    """The hub starts without the cluster: it asks the servers themselves, and forgets none."""
    async with hub() as hub:
        await start(hub)
        (pod,), routes = pods(cluster), dict(hub.routes)
        await kill(hub)
        await cluster.go_away()

        begun = float(looptime)
        await hub.boot()
        await hub.wait_ready("ada")
        assert looptime - begun <= 5
        assert hub.routes == routes

        await asyncio.sleep(120)
        await cluster.come_back()
        await asyncio.sleep(60)
        assert hub.spawner("ada").ready
        assert [uid_of(each) for each in pods(cluster)] == [uid_of(pod)]


@cell("hub restart, spawn was running", UP)
@pytest.mark.parametrize("options", [{}, OTHER_NAMES], ids=["same names", "other names"])
async def test_hub_restart_spawn_was_running__api_up(hub, cluster, looptime, options):
    """The pod goes on alone and is adopted when it runs; its token is in the database."""
    takes(cluster, pull=40)
    async with hub(hub=NO_WAIT) as hub:
        await hub.start_server("ada")
        await eventually(lambda: pods(cluster))
        (pod,) = pods(cluster)
        await kill(hub)
        reconfigure(hub, **options)

        await hub.boot()
        await hub.wait_ready("ada", seconds=60)

        assert 40 <= looptime <= 42
        assert [uid_of(each) for each in pods(cluster)] == [uid_of(pod)]
        assert hub.spawner("ada").server.ip == pods(cluster)[0]["status"]["podIP"]
        assert hub.app.users["ada"].orm_spawners[""].state["pod_name"] == "jupyter-ada"
        assert hub.app.users["ada"].orm_spawners[""].state["pod_uid"] == uid_of(pod)

        await hub.stop_server("ada")
        await hub.wait_stopped("ada")
        assert pods(cluster) == []

        await start(hub)
        assert [key_of(claim).name for claim in claims(cluster)] == ["claim-ada"]


@cell("hub restart, spawn was running", UP)
async def test_hub_restart_spawn_was_running_without_a_pod__api_up(hub, cluster, caplog):
    """Killed before the pod was created: the hub forgets the server, and its user starts it again."""
    async with hub(hub=NO_WAIT) as hub:
        await hub.start_server("ada")
        await kill(hub)
        assert pods(cluster) == []

        await hub.boot()
        await hub.wait_stopped("ada")
        assert "died in the middle of its start" in caplog.text
        assert "removed by somebody else" not in caplog.text

        await start(hub)
        assert len(pods(cluster)) == 1


@cell("hub restart, spawn was running", AWAY)
@pytest.mark.parametrize("is_left", [True, False], ids=["pod left", "no pod"])
async def test_hub_restart_spawn_was_running__api_away(hub, cluster, is_left):
    """The check waits, so that no pod is forgotten; the hub serves everybody else meanwhile."""
    takes(cluster, pull=40)
    async with hub(hub=NO_WAIT) as hub:
        await hub.start_server("ada")
        await eventually(lambda: pods(cluster))
        (pod,) = pods(cluster)
        await kill(hub)
        await cluster.go_away()
        if not is_left:
            cluster.database.remove(PODS, key_of(pod))

        await hub.boot()
        assert (await hub.api("GET", "/users"))[0] == 200
        await asyncio.sleep(120)
        assert hub.spawner("ada").pending == "check"

        await cluster.come_back()
        if is_left:
            await hub.wait_ready("ada")
            assert [uid_of(each) for each in pods(cluster)] == [uid_of(pod)]
        else:
            await hub.wait_stopped("ada")


async def test_hub_restart_leaves_the_claims_of_all_users(hub, cluster):
    async with hub() as hub:
        await start(hub)
        before = {uid_of(claim) for claim in cluster.database.all(CLAIMS, NAMESPACE)}
        for _ in range(2):
            await kill(hub)
            await hub.boot()
        await hub.wait_ready("ada")
        await hub.stop_server("ada")
        await hub.wait_stopped("ada")

        assert {uid_of(claim) for claim in cluster.database.all(CLAIMS, NAMESPACE)} == before
