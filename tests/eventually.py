"""Waiting for what another process does, which no event of this one announces."""

import asyncio
from collections.abc import Callable
from typing import Any


async def eventually(condition: Callable[[], Any], *, seconds: float = 10) -> Any:
    """Return what ``condition`` gives (awaited if need be) once it is true; TimeoutError after so long."""
    async with asyncio.timeout(seconds):
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.05)
