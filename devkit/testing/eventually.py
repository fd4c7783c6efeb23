"""Waiting for what another process, or code without events, does."""

import asyncio
from collections.abc import Callable
from typing import Any


async def eventually(condition: Callable[[], Any], *, seconds: float = 30) -> Any:
    """Return what ``condition`` gives (awaited if need be) once it is true; TimeoutError after so long.

    The steps grow with the time waited, so that hours of virtual time are hundreds of steps, not millions.
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
