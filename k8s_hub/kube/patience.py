"""A time-out that does not blame the API server for a loop that stood still.

A busy hub stands still for seconds at a time (its activity update alone takes 2.6 ms per server). An ordinary
time-out of 3 s then fires although the reply waits in the socket; a create that "failed" so has succeeded.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

STALL = 0.25  # seconds a timer may be late before the loop counts as having stood still


@asynccontextmanager
async def patience(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError when the body takes longer than ``seconds`` of a running loop.

    A deadline that is noticed late is put off by as long as it was late, at most by ``seconds``.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def expire(due: float) -> None:
        nonlocal timer
        late = loop.time() - due
        if late < STALL:
            limit.reschedule(due)
        else:
            due = loop.time() + min(late, seconds)
            timer = loop.call_at(due, expire, due)

    due = loop.time() + seconds
    timer = loop.call_at(due, expire, due)
    try:
        async with asyncio.timeout(None) as limit:
            yield
    finally:
        timer.cancel()
