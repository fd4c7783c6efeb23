"""A time-out counts the time the loop was running."""

import asyncio
import time

import pytest

from k8s_hub.kube.connection import patience


@pytest.mark.looptime
async def test_it_ends_what_takes_too_long():
    loop = asyncio.get_running_loop()
    start = loop.time()

    with pytest.raises(TimeoutError):
        async with patience(3):
            await asyncio.sleep(10)
    assert loop.time() - start == 3


@pytest.mark.looptime
async def test_it_leaves_alone_what_is_in_time():
    async with patience(3):
        await asyncio.sleep(2.9)
    await asyncio.sleep(10)


async def test_a_loop_that_stood_still_is_not_the_servers_fault():
    """The reply is there when the loop turns again, a second after the deadline; an ordinary time-out fires first."""
    loop = asyncio.get_running_loop()
    reply = loop.create_future()

    async def answer_when_heard():
        # Two turns, as a reply takes from the socket to whoever awaits it.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reply.set_result("there")

    async with patience(0.05), asyncio.TaskGroup() as group:
        group.create_task(answer_when_heard())
        loop.call_soon(time.sleep, 0.4)
        assert await reply == "there"


@pytest.mark.looptime
async def test_cancelling_the_body_is_no_time_out():
    async def body():
        async with patience(3):
            await asyncio.sleep(10)

    task = asyncio.create_task(body())
    await asyncio.sleep(1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
