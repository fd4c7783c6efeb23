"""Retries: policies, the loop that applies them, and the Retry-After header.

Callers retry only errors that mean "away, busy or slow". Any other error is final.
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
Rng = Callable[[], float]
"""Returns a random number from 0 to below 1."""

_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)

LONGEST_RETRY_AFTER = 3600.0
"""The longest accepted Retry-After, in seconds."""

LONGEST_DELAY = 30.0
"""The longest delay, in seconds, that an error may ask `retrying` for: the one who asks may be back long before."""


def parse_retry_after(header: str | None) -> float | None:
    """Return the seconds in a Retry-After header; None without a number.

    Neither the API server nor a hub uses the other form, a date.
    """
    is_number = _NUMBER.fullmatch(header or "")
    return min(float(is_number[0]), LONGEST_RETRY_AFTER) if is_number else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The delays between attempts, and the deadline for all of them, in seconds."""

    initial: float = 0.2  # the longest delay before the second attempt
    factor: float = 2.0  # each attempt multiplies the longest delay by this ...
    ceiling: float = 5.0  # ... up to this
    deadline: float = 30.0  # since the first attempt, in loop time; math.inf means no deadline
    jitter: float = 1.0  # the random fraction of a delay: 1 spreads many clients best, 0 is for tests

    def delay(self, attempt: int, rng: Rng = random.random) -> float:
        """Return the seconds to wait after the failure of attempt number ``attempt``, from 0."""
        # The exponent is bounded, because an informer may fail for weeks and a float overflows at 2**1024.
        most = min(self.ceiling, self.initial * self.factor ** min(attempt, 64))
        return most * (1 - self.jitter) + most * self.jitter * rng()


async def retrying(
    policy: RetryPolicy,
    call: Callable[[], Awaitable[T]],
    *,
    on: type[E],
    deadline: float = math.inf,
    on_wait: Callable[[E, float], None] | None = None,
    rng: Rng = random.random,
) -> T:
    """Await ``call()`` until it does not raise ``on``; raise its last error at the deadline.

    The deadline is the policy's or ``deadline`` (loop time), whichever is first. No delay starts that would reach it. If the
    error has a ``retry_after`` (seconds) that is longer than the policy's delay, wait that long instead, but at most
    `LONGEST_DELAY`.
    ``on_wait(error, seconds)`` is called before each delay.
    """
    loop = asyncio.get_running_loop()
    deadline = min(deadline, loop.time() + policy.deadline)
    for attempt in count():
        try:
            return await call()
        except on as error:
            asked_for = min(getattr(error, "retry_after", None) or 0.0, LONGEST_DELAY)
            delay = max(policy.delay(attempt, rng), asked_for)
            if loop.time() + delay >= deadline:
                raise
            if on_wait is not None:
                on_wait(error, delay)
        await asyncio.sleep(delay)
    raise AssertionError("count() does not end")
