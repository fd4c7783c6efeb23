"""A user starts and stops a server a hundred times: the process keeps nothing of what is over."""

import asyncio
import gc
from collections import Counter

import pytest

from k8s_hub.objects.keys import Key

pytestmark = [pytest.mark.looptime, pytest.mark.hub, pytest.mark.slow]


def what_lives():
    """Return how many tasks and objects of this package there are, by name; the mini cluster keeps a history of keys."""
    gc.collect()
    tasks = Counter(f"task {task.get_coro().__qualname__}" for task in asyncio.all_tasks())
    return tasks + Counter(
        f"{type(each).__module__}.{type(each).__qualname__}"
        for each in gc.get_objects()
        if type(each).__module__.startswith("k8s_hub.") and type(each) is not Key
    )


async def cycles(hub, count):
    for _ in range(count):
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        await hub.stop_server("ada")
        await hub.wait_stopped("ada")


async def test_a_hundred_starts_and_stops_leave_no_task_and_no_object(hub):
    async with hub() as hub:
        await cycles(hub, 20)
        before = what_lives()
        await cycles(hub, 80)
        grown = what_lives() - before
    assert grown == Counter()
