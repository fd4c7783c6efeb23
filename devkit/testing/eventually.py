"""Waits for conditions of other processes, or of code without events."""

import asyncio
from collections.abc import Callable
from typing import Any


async def eventually(condition: Callable[[], Any], *, seconds: float = 30) -> Any:
    """Return the result of ``condition`` (sync or async) once it is true; raise TimeoutError at the deadline.

    The steps grow, so that hours of virtual time take hundreds of steps, not millions.
    """
    clock = asyncio.get_running_loop().time
    begun = clock()
    async with asyncio.timeout(seconds):
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(max(0.01, (clock() - begun) / 20))
