"""Runs coroutines concurrently. All end before it returns, and it raises the first failure."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def gather(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Await all; if one fails, cancel the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
