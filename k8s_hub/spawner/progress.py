"""The messages of one start to its user so far, for every browser tab that listens."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from k8s_hub.diagnosis.diagnosis import Diagnosis, advance
from k8s_hub.objects.keys import metadata_of
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.start_queue import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class PodEvent:
    """Kubernetes has sent an event about the pod."""

    event: Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """There was nothing new, but time has passed."""

    #: Since the start began.
    seconds: float
    latest: Diagnosis


Update: TypeAlias = Place | Diagnosis | PodEvent


class Progress:
    """The diagnoses of one start and the events behind them, in order; a late listener gets all of them.

    The spawner owns it, and makes a new one for each start.
    """

    def __init__(self) -> None:
        self._updates: list[Update] = []
        self._event_names: set[str] = set()
        #: Set at the next change; None unless somebody waits for it: ten thousand running servers have no listener.
        self._changed: asyncio.Event | None = None
        #: The times of the first and of the last diagnosis, by the loop's clock.
        self._begun = self._changed_at = 0.0
        self.latest: Diagnosis | None = None
        """The last emitted diagnosis."""
        self.has_ended = False
        """True once the start is over, whatever its result."""

    def emit(self, diagnosis: Diagnosis) -> Diagnosis | None:
        """Emit a diagnosis and return it as emitted; None if it says nothing new."""
        update = advance(self.latest, diagnosis)
        if update is not None:
            if self.latest is None:
                self._begun = _now()
            self.latest, self._changed_at = update, _now()
            self._updates.append(update)
            self._wake()
        return update

    def unchanged_for(self) -> float:
        """Return the seconds since the last new diagnosis."""
        return _now() - self._changed_at

    def queue(self, place: Place) -> None:
        """Add the start's place in the queue, which its listeners follow until the start begins."""
        self._updates.append(place)
        self._wake()

    def add_events(self, events: Iterable[Raw]) -> None:
        """Add all events so far; each event counts once, even if Kubernetes repeats it."""
        for event in events:
            name = str(metadata_of(event).get("name"))
            if name not in self._event_names:
                self._event_names.add(name)
                self._updates.append(PodEvent(event=_slim(event)))
                self._wake()

    def end(self) -> None:
        """Let all listeners finish; drop the events, which are too large to keep, for later listeners."""
        self.has_ended = True
        self._updates = [update for update in self._updates if isinstance(update, Diagnosis)]
        self._wake()

    async def listen(
        self, *, remind_after: float = 0, remind_every: float | None = None
    ) -> AsyncIterator[Update | Waited]:
        """Yield everything emitted until the start ends.

        Also yields the elapsed time once the start has taken more than ``remind_after`` seconds (0: never), and
        again every ``remind_every`` seconds. If that is None, `next_reminder` says when.
        """
        # Keep this list: the end of the start replaces `_updates`, and this listener still needs the events.
        updates, count, due = self._updates, 0, remind_after
        while True:
            while count < len(updates):
                yield updates[count]
                count += 1
            if self.has_ended:
                return
            is_reminding = remind_after and self.latest is not None
            if await self._changed_until(self._begun + due if is_reminding else None):
                continue
            if self.latest is not None:
                seconds = max(_now() - self._begun, due)
                due = next_reminder(seconds) if remind_every is None else seconds + max(1, remind_every)
                yield Waited(seconds=seconds, latest=self.latest)

    async def _changed_until(self, moment: float | None) -> bool:
        """Return True once there is something new; False if there is nothing until this moment."""
        self._changed = self._changed or asyncio.Event()
        try:
            async with asyncio.timeout_at(moment):
                return await self._changed.wait()
        except TimeoutError:
            return False

    def _wake(self) -> None:
        # Waiting listeners hold the event; the next change has another one.
        if self._changed is not None:
            self._changed.set()
            self._changed = None


def next_reminder(seconds: float) -> float:
    """Return the time of the next reminder, in seconds: after 1, 2, 3, 5, 10, 15 minutes and so on."""
    step = 60 if seconds < 180 else 300
    return (seconds // step + 1) * step


def _slim(event: Raw) -> Raw:
    """Drop ``managedFields``."""
    metadata = {key: value for key, value in metadata_of(event).items() if key != "managedFields"}
    return {**event, "metadata": metadata}


def _now() -> float:
    return asyncio.get_running_loop().time()
