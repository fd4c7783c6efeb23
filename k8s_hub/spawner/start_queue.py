"""The queue for a hub's starts: limits how many begin, keeps their order, and tells users their place.

A start waits here before the hub's `start_timeout` begins.
"""

import asyncio
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import Gauge

from k8s_hub.text import format_duration

QUEUED = Gauge("k8s_hub_starts_queued", "Starts that wait in the queue, not counting those that have begun.")

REFRESH, LONGEST_REFRESH, FAR_BACK = 2.0, 10.0, 50
"""Seconds between two looks at a place for its user, one more for each so many starts ahead."""

LATEST_ENDS = 50
"""How many ends of starts an estimate uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartLimits:
    """What the administrator allows; 0 is no limit."""

    concurrent_starts: int
    #: Starts per second.
    start_rate: float

    @property
    def seconds_between(self) -> float:
        """Return the seconds from the begin of one start to that of the next."""
        return 1 / self.start_rate if self.start_rate else 0.0

    def __bool__(self) -> bool:
        return self.concurrent_starts > 0 or self.start_rate > 0


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """Orders the queue: a user's second start comes after the first starts of the others."""

    round: int
    arrival: int


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Place:
    """One start in the queue."""

    queue: "StartQueue"
    username: str
    turn: Turn
    #: Done once the start may begin; cancelled if the start ends before.
    may_begin: "asyncio.Future[None]"

    async def messages(self) -> AsyncIterator[str]:
        """Yield the place in words whenever it changes, until the start begins or is cancelled."""
        told = ""
        while not self.may_begin.done():
            ahead, seconds = self.queue.outlook(self)
            message = place_in_words(ahead, seconds)
            if message != told:
                yield message
            told = message
            await asyncio.wait([self.may_begin], timeout=min(REFRESH + ahead / FAR_BACK, LONGEST_REFRESH))


class StartQueue:
    """The starts of one hub with the same limits: those that wait, and the number of those under way."""

    def __init__(self, limits: StartLimits) -> None:
        self._limits = limits
        #: In the order of their turns.
        self._waiting: list[Place] = []
        self._under_way = 0
        self._arrivals = 0
        #: The round of the start that began last.
        self._round = 0
        #: The time before which no start begins, by the loop's clock.
        self._next_begin = -math.inf
        #: When the queue was last empty, and then the ends of starts; the latest of all these.
        self._ends: deque[float] = deque(maxlen=LATEST_ENDS)
        self._next_look: asyncio.TimerHandle | None = None

    def join(self, username: str, start: "asyncio.Task[Any]") -> Place:
        """Return a new place; it is given up when the task of the start ends, in whatever way."""
        if not self._waiting:
            self._ends.clear()
            self._ends.append(_now())
        self._arrivals += 1
        round_ = self._round + sum(place.username == username for place in self._waiting)
        place = Place(
            queue=self,
            username=username,
            turn=Turn(round_, self._arrivals),
            may_begin=asyncio.get_running_loop().create_future(),
        )
        insort(self._waiting, place, key=_turn)
        start.add_done_callback(lambda _: self._leave(place))
        self._advance()
        return place

    def outlook(self, place: Place) -> tuple[int, float | None]:
        """Return how many starts come before this one, and in how many seconds it begins; None if nobody knows yet."""
        ahead, now = bisect_left(self._waiting, place.turn, key=_turn), _now()
        seconds = max(0.0, self._next_begin - now) + ahead * self._limits.seconds_between
        if not self._limits.concurrent_starts:
            return ahead, seconds
        begun, *ends = self._ends
        if not ends:
            return ahead, None
        # The second is larger when the next end is overdue.
        seconds_per_end = max((ends[-1] - begun) / len(ends), (now - begun) / (len(ends) + 1))
        return ahead, max(seconds, (ahead + 1) * seconds_per_end)

    def _leave(self, place: Place) -> None:
        if place in self._waiting:
            self._waiting.remove(place)
            place.may_begin.cancel()
        else:
            self._under_way -= 1
            self._ends.append(_now())
        self._advance()

    def _advance(self) -> None:
        """Let starts begin as far as the limits allow."""
        while self._waiting and self._has_room():
            now, pause = _now(), self._limits.seconds_between
            if now < self._next_begin:
                self._look_again_at(self._next_begin)
                break
            # A busy loop is late; the next start makes up for one pause.
            self._next_begin = max(self._next_begin, now - pause) + pause
            place = self._waiting.pop(0)
            self._round = place.turn.round
            self._under_way += 1
            if not place.may_begin.done():
                place.may_begin.set_result(None)
        QUEUED.set(sum(len(queue._waiting) for queue in _queues_of_loop().values()))  # noqa: SLF001 - its own class

    def _has_room(self) -> bool:
        return not self._limits.concurrent_starts or self._under_way < self._limits.concurrent_starts

    def _look_again_at(self, moment: float) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        self._next_look = asyncio.get_running_loop().call_at(moment, self._advance)


_queues: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[StartLimits, StartQueue]]" = WeakKeyDictionary()


def queue_for(limits: StartLimits) -> StartQueue:
    """Return the running loop's queue with these limits, always the same one."""
    queues = _queues_of_loop()
    if limits not in queues:
        queues[limits] = StartQueue(limits)
    return queues[limits]


def _queues_of_loop() -> dict[StartLimits, StartQueue]:
    return _queues.setdefault(asyncio.get_running_loop(), {})


def place_in_words(ahead: int, seconds: float | None) -> str:
    """Return what the user reads: ``ahead`` starts come first, and theirs begins in so many seconds."""
    place = "next" if ahead == 0 else _ordinal(ahead + 1)
    when = "" if seconds is None else f" It starts in about {format_duration(_rounded(seconds))}."
    return f"Your server is {place} in the queue.{when}"


def _rounded(seconds: float) -> timedelta:
    step = 5 if seconds < 60 else 10 if seconds < 600 else 60
    return timedelta(seconds=max(1, math.ceil(seconds / step)) * step)


def _ordinal(number: int) -> str:
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


_turn = attrgetter("turn")


def _now() -> float:
    return asyncio.get_running_loop().time()
