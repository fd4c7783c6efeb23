"""The API server fails for 90 seconds while a hundred users work: no user notices, and the hub does not flood it."""

import asyncio
import logging

import pytest

from devkit.minicluster.runtime import Exit
from devkit.testing.eventually import eventually
from devkit.testing.runs import NAMESPACE, pods
from k8s_hub.kube.metrics import LISTS

pytestmark = [pytest.mark.looptime, pytest.mark.hub, pytest.mark.slow]

USERS = [f"user-{number}" for number in range(100)]


def lists():
    """Return how many complete lists of pods were read."""
    return LISTS.labels("pods")._value.get()


async def start_all(hub):
    answers = await asyncio.gather(*(hub.start_server(user) for user in USERS))
    assert set(answers) <= {201, 202}
    for user in USERS:
        await hub.wait_ready(user, seconds=60)


async def ready_servers(hub):
    _, users = await hub.api("GET", "/users?limit=200")
    return {user["name"] for user in users if user["servers"].get("", {}).get("ready")}


@pytest.mark.parametrize("is_compacted", [False, True], ids=["history kept", "history lost"])
async def test_ninety_seconds_without_the_api_server(hub, cluster, witness, caplog, is_compacted):
    """No server is reported stopped, the view is fresh within 5 seconds of the return, and at most one list is read."""
    options = {"poll_interval": 30, "poll_jitter": 0.1}
    async with hub(users=USERS, **options) as hub:
        await start_all(hub)
        assert len(pods(cluster)) == 100
        # Held here, as the hub may have let go of the ended one when it is asked.
        spawners = {user: hub.spawner(user) for user in USERS}
        routes, listed = dict(hub.routes), lists()
        witness.calls.clear()
        caplog.clear()

        await cluster.go_away()
        await asyncio.sleep(45)
        await cluster.container(NAMESPACE, "jupyter-user-7").end(Exit.of(0))
        await asyncio.sleep(45)
        assert await ready_servers(hub) == set(USERS)
        if is_compacted:
            cluster.compact()
        await cluster.come_back()
        await asyncio.sleep(5)

        # Fresh: what happened meanwhile is known, and only that.
        polls = {user: await spawner.poll() for user, spawner in spawners.items()}
        assert {user: code for user, code in polls.items() if code is not None} == {"user-7": 0}
        assert lists() - listed == is_compacted
        assert sum(call.verb == "list" and call.resource == "pods" for call in witness.calls) == is_compacted

        await eventually(lambda: "/user/user-7/" not in hub.routes, seconds=60)
        await asyncio.sleep(60)
        assert await ready_servers(hub) == {*USERS} - {"user-7"}
        assert routes.keys() - hub.routes.keys() == {"/user/user-7/"}
        assert len(pods(cluster)) == 99
        stopped = [record for record in caplog.records if "server stopped" in record.getMessage()]
        assert ["user-7" in record.getMessage() for record in stopped] == [True]
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
