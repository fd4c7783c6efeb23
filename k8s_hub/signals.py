"""A command that runs until it is told to stop: SIGINT and SIGTERM unwind it, once."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


def run_until_told(act: Coroutine[Any, Any, int | None]) -> int:
    """Run ``act``; return its result (None is 0) when it ended by itself, 128 plus the signal's number when it was told to.

    The first signal cancels it, so that its contexts end what they started; more signals change nothing.
    """
    return asyncio.run(_run(act))


async def _run(act: Coroutine[Any, Any, int | None]) -> int:
    task = asyncio.create_task(act)
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        if len(received) == 1:
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        code = await task
    except asyncio.CancelledError:
        if not received:
            raise
        code = None
    return 128 + received[0] if received else code or 0
