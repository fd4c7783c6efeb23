"""Asking the hub again: a named policy, and the one loop that follows it.

Only `Unavailable` is asked again. Every other error is an answer.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from k8s_hub.hub.errors import Unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long to wait between attempts, and for how long to go on. Times are in seconds."""

    name: str  # for logs
    initial: float = 0.5  # the most before the second attempt
    factor: float = 2.0  # the most grows by this with each attempt ...
    ceiling: float = 10.0  # ... up to this
    deadline: float = 60.0  # since the first attempt, in the loop's time: a hub restarts in less

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after attempt number ``attempt`` (0 is the first), spread by chance."""
        most = min(self.ceiling, self.initial * self.factor**attempt)
        return most * random.uniform(0.5, 1)  # noqa: S311 - it spreads load, it keeps no secret


async def retrying(
    policy: RetryPolicy,
    call: Callable[[], Awaitable[T]],
    *,
    on_wait: Callable[[Unavailable, float], None] | None = None,
) -> T:
    """Await ``call()`` until it is answered; raise its last `Unavailable` at the policy's deadline.

    A Retry-After longer than the policy's delay is kept to. No delay is begun that would pass the deadline.
    ``on_wait(error, seconds)`` is called before each delay.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + policy.deadline
    for attempt in count():
        try:
            return await call()
        except Unavailable as error:
            delay = max(policy.delay(attempt), error.retry_after or 0.0)
            if loop.time() + delay > deadline:
                raise
            if on_wait is not None:
                on_wait(error, delay)
        await asyncio.sleep(delay)
    raise AssertionError("count() does not end")
