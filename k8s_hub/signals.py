"""Runs a command until it ends, or until SIGINT or SIGTERM cancels it."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


def run_until_told(act: Coroutine[Any, Any, int | None]) -> int:
    """Run ``act``; return its result (None is 0), or 128 plus the number of the signal that cancelled it.

    The first signal cancels it, so that its contexts clean up. Further signals are ignored.
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
