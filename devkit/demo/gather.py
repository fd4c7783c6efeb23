"""Several coroutines at once: all end before this returns, and the first failure is the one that is raised."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def gather(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Await all; when one fails the others are cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
