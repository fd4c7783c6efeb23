"""The real hub of the tests: starts fast, keeps what a killed hub keeps, leaves nothing."""

import asyncio
import logging

import pytest

from devkit.testing.realhub import QuietSpawner, RealHub

pytestmark = pytest.mark.hub

NO_WAIT = {"JupyterHub": {"tornado_settings": {"slow_spawn_timeout": 0}}}


async def test_a_server_starts_and_stops():
    async with RealHub(users=["alice", "bob"]) as hub:
        assert await hub.start_server("alice") == 201
        await hub.wait_ready("alice")
        status, user = await hub.api("GET", "/users/alice")
        assert status == 200
        assert user["servers"][""]["ready"]
        assert "/user/alice/" in hub.routes

        assert await hub.stop_server("alice") == 204
        await hub.wait_stopped("alice")
        assert "/user/alice/" not in hub.routes


@pytest.mark.parametrize("on_disk", [False, True])
async def test_a_killed_hub_finds_its_servers_again(on_disk, tmp_path):
    async with RealHub(db=tmp_path / "hub.sqlite" if on_disk else None) as hub:
        await hub.start_server("alice", "lab")
        await hub.wait_ready("alice", "lab")
        before = hub.spawner("alice", "lab")
        await hub.restart()
        await hub.wait_ready("alice", "lab")
        assert hub.spawner("alice", "lab") is not before
        assert (await hub.api("GET", "/users"))[0] == 200


async def test_a_spawn_in_flight_dies_with_the_hub():
    """The tasks of a killed hub are gone, in whatever they were."""
    async with RealHub(config=NO_WAIT | {"QuietSpawner": {"start_seconds": 1000}}) as hub:
        assert await hub.start_server("alice") == 202
        await hub.kill()
        assert not hub._tasks


class BrokenSpawner(QuietSpawner):
    async def start(self):
        raise RuntimeError("nothing works today")


async def test_failures_are_counted_and_waiting_raises_them():
    async with RealHub(spawner_class=BrokenSpawner) as hub:
        assert await hub.start_server("alice") == 500
        assert hub.failure_count == 1
        with pytest.raises(RuntimeError, match="nothing works today"):
            await hub.wait_ready("alice")


class PolledSpawner(QuietSpawner):
    polls = 0

    async def poll(self):
        type(self).polls += 1
        return await super().poll()


@pytest.mark.looptime
async def test_the_hubs_waits_are_virtual(looptime):
    """A start of ten minutes takes no time, and periodic polls keep their rhythm afterwards."""
    config = {
        "QuietSpawner": {"start_seconds": 600, "start_timeout": 900, "poll_interval": 30, "poll_jitter": 0}
    }
    async with RealHub(spawner_class=PolledSpawner, config=config) as hub:
        assert await hub.start_server("alice") == 202
        await hub.wait_ready("alice", seconds=700)
        assert 600 <= looptime < 650

        PolledSpawner.polls = 0
        await asyncio.sleep(305)
        assert 10 <= PolledSpawner.polls <= 11


async def test_nothing_is_left_of_the_logging():
    before = [*logging.getLogger().handlers], logging.getLogger("tornado").parent
    async with RealHub():
        pass
    assert ([*logging.getLogger().handlers], logging.getLogger("tornado").parent) == before
