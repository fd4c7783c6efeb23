"""The ordered changes of one kind, for watches and for lists of the past."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from devkit.minicluster.statuses import from_the_future, too_old
from k8s_hub.objects.keys import Key
from k8s_hub.objects.raw import Raw


class ChangeType(StrEnum):
    """The types of watch events."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An object and its JSON, which all lists and watches share."""

    obj: Raw
    encoded: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one object."""

    version: int
    type: ChangeType
    key: Key
    #: The object after the change; for a deletion, its last state with the deletion's version.
    after: Record
    #: None: the object did not exist.
    before: Record | None

    @property
    def line(self) -> bytes:
        """The change as a line of a watch that selects the object before and after."""
        return watch_line(self.type, self.after.encoded)


def watch_line(change_type: str, encoded: bytes) -> bytes:
    """Return one line of a watch."""
    return b'{"type":"%b","object":%b}\n' % (change_type.encode(), encoded)


class Pulse:
    """Wakes all waiters once per beat. A waiter that was busy meanwhile misses none."""

    def __init__(self) -> None:
        self.beats = 0
        self._next = asyncio.Event()

    def beat(self) -> None:
        """Wake all waiters."""
        self.beats += 1
        self._next.set()
        self._next = asyncio.Event()

    async def after(self, beats: int) -> None:
        """Return as soon as there were more beats than these."""
        if self.beats == beats:
            await self._next.wait()


class History:
    """The changes of one kind since ``oldest``; older ones are dropped."""

    def __init__(self, *, start: int, limit: int) -> None:
        #: The version before the first kept change: the oldest from which a watch can resume.
        self.oldest = start
        self._limit = limit
        self._changes: list[Change] = []
        self.pulse = Pulse()

    def append(self, change: Change) -> None:
        """Add the change and wake the watches; drop the older half if there are too many."""
        self._changes.append(change)
        if len(self._changes) > 2 * self._limit:
            self._drop(len(self._changes) - self._limit)
        self.pulse.beat()

    def compact(self, version: int) -> None:
        """Drop every change up to and including ``version``."""
        self._drop(bisect_right(self._changes, version, key=_version))
        self.oldest = max(self.oldest, version)

    def check(self, version: int, current: int) -> None:
        """Raise 410 if a watch cannot start from ``version``."""
        if version > current:
            raise from_the_future(version, current)
        if version < self.oldest:
            raise too_old(version, self.oldest)

    def after(self, version: int) -> Sequence[Change]:
        """Return the changes later than ``version``."""
        return self._changes[bisect_right(self._changes, version, key=_version) :]

    def _drop(self, count: int) -> None:
        if count:
            self.oldest = self._changes[count - 1].version
            del self._changes[:count]


def _version(change: Change) -> int:
    return change.version
