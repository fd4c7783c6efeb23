"""The pace of a sweep: concurrent slots, and retries of requests to the hub."""

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import TypeVar

from k8s_hub.hub.errors import HubError, HubForbidden, HubUnavailable
from k8s_hub.retries import RetryPolicy, retrying

T = TypeVar("T")
R = TypeVar("R")

SLOW_SECONDS = 1.0
"""A median answer slower than this halves the slots."""

FAST_SECONDS = 0.2
"""A median answer faster than this allows another slot."""

GROWTH_SECONDS = 60.0
"""Seconds of sweeping before the next additional slot."""

ANSWERS = 20
"""The median is that of this many last answers ..."""

ANSWERS_AT_LEAST = 5
"""... and needs this many."""


def adapted(slots: float, answers: Sequence[float], seconds_since_change: float, most: float) -> float:
    """Return the new number of slots (math.inf: no limit); ``answers``: seconds of the hub's last answers."""
    if len(answers) < ANSWERS_AT_LEAST or math.isinf(slots):
        return slots
    typical = median(answers)
    if typical > SLOW_SECONDS:
        return max(1, slots // 2)
    if typical < FAST_SECONDS and seconds_since_change >= GROWTH_SECONDS:
        return min(most, slots + 1)
    return slots


class Throttle:
    """Owns the slots: handling a server takes one. It starts with ``most`` slots; 0: no limit."""

    def __init__(self, most: int = 0) -> None:
        self.most: float = most or math.inf
        self.slots: float = self.most
        self.in_use = 0
        self._freed = asyncio.Event()
        self._answers: deque[float] = deque(maxlen=ANSWERS)
        self._swept = 0.0  # seconds in which slots were in use, without the current stretch
        self._stretch_begun = 0.0
        self._changed_at = 0.0  # in seconds swept
        self._halved_at = -math.inf  # in the loop's time

    def on_reply(self, code: int, seconds: float, method: str) -> None:
        """Note an answer of the hub; code 0: no answer. Only GET counts: a stop takes long by design."""
        is_answer = 200 <= code < 500 and code != 429
        if method != "GET" or not (is_answer or seconds > SLOW_SECONDS):
            return
        now = asyncio.get_running_loop().time()
        if now - seconds < self._halved_at:  # a request from before the last change
            return
        self._answers.append(seconds)
        if self.in_use:
            self._adapt(now)

    def _adapt(self, now: float) -> None:
        swept = self._swept + now - self._stretch_begun
        before = self.slots
        self.slots = adapted(before, self._answers, swept - self._changed_at, self.most)
        if self.slots == before:
            return
        self._changed_at = swept
        if self.slots < before:
            self._answers.clear()
            self._halved_at = now
        self._freed.set()

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, and hold it."""
        while self.in_use >= self.slots:
            self._freed.clear()
            await self._freed.wait()
        clock = asyncio.get_running_loop().time
        if not self.in_use:
            self._stretch_begun = clock()
        self.in_use += 1
        try:
            yield
        finally:
            self.in_use -= 1
            self._freed.set()
            if not self.in_use:
                self._swept += clock() - self._stretch_begun


STAGGER_SECONDS = 0.1
"""Between the first stops, so that they do not all end at once and load the hub together."""


async def gather_throttled(
    things: Sequence[T],
    handle: Callable[[T], Awaitable[R]],
    throttle: Throttle,
    *,
    over: float = 0.0,
    apart: float = 0.0,
) -> list[R | Exception]:
    """Handle each thing in a slot of its own; return its result or its exception.

    over: spread the beginnings evenly over this many seconds, instead of as soon as a slot is free.
    apart: seconds between the first beginnings, one for each slot; ignored without a limit of slots.
    """
    results: dict[int, R | Exception] = {}
    loop = asyncio.get_running_loop()
    begun = loop.time()
    coming = iter(enumerate(things))

    async def work(number: int) -> None:
        await asyncio.sleep(0 if math.isinf(throttle.most) else number * apart)
        for index, thing in coming:
            await asyncio.sleep(max(0.0, begun + over * index / len(things) - loop.time()))
            async with throttle.slot():
                try:
                    results[index] = await handle(thing)
                except Exception as error:  # noqa: BLE001 - the caller logs it
                    results[index] = error

    async with asyncio.TaskGroup() as tasks:
        for number in range(int(min(throttle.most, len(things)))):
            tasks.create_task(work(number))
    return [results[index] for index in range(len(things))]


def gather_now(things: Iterable[T], handle: Callable[[T], R]) -> list[R | Exception]:
    """Handle each thing without waiting; return its result or its exception."""

    def result_of(thing: T) -> R | Exception:
        try:
            return handle(thing)
        except Exception as error:  # noqa: BLE001 - the caller logs it
            return error

    return [result_of(thing) for thing in things]


log = logging.getLogger(__name__)


HUB_RETRIES = RetryPolicy(initial=0.2, ceiling=10.0, deadline=60.0, jitter=0.5)
"""The deadline is longer than a restart of the hub.

A waiting server keeps its slot, so that an absent hub does not get a request for every server.
"""


async def retry(call: Callable[[], Awaitable[T]], *, wait_level: int = logging.DEBUG) -> T:
    """Retry ``call()`` while the hub is unavailable; raise HubUnavailable after the deadline of HUB_RETRIES."""

    def log_wait(error: HubUnavailable, delay: float) -> None:
        log.log(wait_level, "hub: retrying in %.1f s: %s", delay, error)

    return await retrying(HUB_RETRIES, call, on=HubUnavailable, on_wait=log_wait)


def log_failures(kind: str, failures: Mapping[str, Exception]) -> int:
    """Log failures by name of the server or user, each message once; return their number."""
    forbidden = [error for error in failures.values() if isinstance(error, HubForbidden)]
    if forbidden:  # About the token: log it once, not for every server.
        log.error("%ss: %d failed: %s", kind, len(forbidden), forbidden[0])
    shown: set[type[Exception]] = set()
    for name, error in failures.items():
        match error:
            case HubForbidden():
                pass
            case HubError():
                log.error("%s %s: failed: %s", kind, name, error)
            case _:
                # An error in the arbiter hook or in the culler: log one traceback.
                is_known = type(error) in shown
                log.error("%s %s: failed: %r", kind, name, error, exc_info=None if is_known else error)
                shown.add(type(error))
    return len(failures)
