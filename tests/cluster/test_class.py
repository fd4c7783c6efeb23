"""A class arrives at a hub on the real API server: CLASS=1000 users instead of 60."""

import asyncio
import os

import pytest

from k8s_hub.naming.ownership import USERNAME_ANNOTATION

pytestmark = pytest.mark.cluster

PUPILS = tuple(f"pupil{number:04}" for number in range(int(os.environ.get("CLASS", "60"))))
AT_ONCE = 20
LOOK = 0.2


def is_starting(pod):
    return pod["status"]["phase"] == "Pending"


async def test_no_start_of_a_class_is_refused_and_all_get_their_turn(hub, objects):
    """Many more arrive than the hub itself would let start; no more than allowed have a pod that does not run yet."""
    most = 0
    limits = {"concurrent_spawn_limit": 0}
    async with hub(users=PUPILS, hub=limits, concurrent_starts=AT_ONCE) as hub:

        async def watch():
            nonlocal most
            while True:
                pods = await asyncio.to_thread(objects, "pods")
                most = max(most, sum(map(is_starting, pods.values())))
                await asyncio.sleep(LOOK)

        watching = asyncio.create_task(watch())
        statuses = await asyncio.gather(*(hub.start_server(pupil) for pupil in PUPILS))
        for pupil in PUPILS:
            await hub.wait_ready(pupil, seconds=600)
        watching.cancel()
        await asyncio.wait([watching])

        assert set(statuses) <= {201, 202}
        owners = [pod["metadata"]["annotations"][USERNAME_ANNOTATION] for pod in objects("pods").values()]
        assert sorted(owners) == sorted(PUPILS)
        assert len(objects("persistentvolumeclaims")) == len(PUPILS)
        assert 0 < most <= AT_ONCE
