"""Asking again: named policies, the one loop that follows them, and what a server asks for, whoever it is.

Only the error that means "away, busy or slow" is asked again. Every other error is an answer.
"""

import asyncio
import math
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Exception)
Chance = Callable[[], float]
"""A number from 0 to below 1; ``random.random``, or a test's own."""

_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)

LONGEST_RETRY_AFTER = 3600.0
"""In seconds: to wait longer than a server asks for is fine, for ever is not."""


def parse_retry_after(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for; None where it asks for none.

    Its other form, a date, is one that neither the API server nor a hub uses.
    """
    is_number = _NUMBER.fullmatch(header or "")
    return min(float(is_number[0]), LONGEST_RETRY_AFTER) if is_number else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long to wait between attempts, and for how long to go on. Times are in seconds."""

    initial: float = 0.2  # the most before the second attempt
    factor: float = 2.0  # the most grows by this with each attempt ...
    ceiling: float = 5.0  # ... up to this
    deadline: float = 30.0  # since the first attempt, in the loop's time; math.inf means for ever
    jitter: float = 1.0  # the random part of a delay: 1 spreads many clients best, 0 is for tests

    def delay(self, attempt: int, chance: Chance = random.random) -> float:
        """Return the seconds to wait after attempt number ``attempt`` (0 is the first) failed."""
        # The exponent is bounded, because an informer may fail for weeks and a float overflows at 2**1024.
        most = min(self.ceiling, self.initial * self.factor ** min(attempt, 64))
        return most * (1 - self.jitter) + most * self.jitter * chance()


async def retrying(
    policy: RetryPolicy,
    call: Callable[[], Awaitable[T]],
    *,
    on: type[E],
    deadline: float = math.inf,
    on_wait: Callable[[E, float], None] | None = None,
    chance: Chance = random.random,
) -> T:
    """Await ``call()`` until it does not raise ``on``; raise its last one when the time is up.

    The time is up at the policy's deadline or at ``deadline`` (the loop's time), whichever is first: no delay
    is begun that would pass it. The error's ``retry_after`` (seconds) is kept to where it has one that is longer
    than the policy's delay.
    ``on_wait(error, seconds)`` is called before each delay.
    """
    loop = asyncio.get_running_loop()
    deadline = min(deadline, loop.time() + policy.deadline)
    for attempt in count():
        try:
            return await call()
        except on as error:
            delay = max(policy.delay(attempt, chance), getattr(error, "retry_after", None) or 0.0)
            if loop.time() + delay > deadline:
                raise
            if on_wait is not None:
                on_wait(error, delay)
        await asyncio.sleep(delay)
    raise AssertionError("count() does not end")
