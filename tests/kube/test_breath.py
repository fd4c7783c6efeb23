"""Long work lets the loop turn; short work is not slowed down."""

import asyncio

from k8s_hub.kube.watcher import Breather


async def turns_during(work):
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    await work
    counter.cancel()
    return turns


async def test_the_loop_turns_when_the_budget_is_spent():
    breather = Breather(budget=0)

    assert await turns_during(breather.breathe()) > 0


async def test_the_loop_does_not_turn_before():
    breather = Breather(budget=3600)

    assert await turns_during(breather.breathe()) == 0
