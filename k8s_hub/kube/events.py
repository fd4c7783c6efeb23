"""What Kubernetes says about objects that are starting: one event watch per namespace, while anything starts.

The API server keeps no cache for events, and a namespace may hold tens of thousands. So nothing is listed that is
past: the watch begins "now", is shared by all that start at the same time, and what it says about others is
dropped. Events help people; they are never needed. Whatever goes wrong here ends in fewer events: the watch is begun
again as an informer's is (`k8s_hub.kube.watcher`).
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.bells import Bells
from k8s_hub.kube.core.errors import Forbidden, KubeError
from k8s_hub.kube.core.resources import EVENTS
from k8s_hub.kube.core.watch import (
    Added,
    Empty,
    Listed,
    Modified,
    News,
    Odd,
    State,
    Watching,
    after,
    after_end,
    end_meant_by,
)
from k8s_hub.kube.watcher import Breather, Watcher
from k8s_hub.objects.keys import Key, key_of, metadata_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import Chance

logger = logging.getLogger(__name__)

LINGER = 30.0  # seconds the watch stays open after the last start: the next one is likely soon
OPENING = 2.0  # seconds a start waits for the watch at most: events are not worth more
MOST = 50  # events kept per object, the latest


class Involved(NamedTuple):
    """The object that events are about: "Pod" or "PersistentVolumeClaim", and its key."""

    kind: str
    key: Key


@dataclass(slots=True)
class _Record:
    """The events of one object by name, in the order they were heard, and how many follow it."""

    followers: int = 0
    events: dict[str, Raw] = field(default_factory=dict)

    def take(self, event: Raw) -> None:
        """Keep ``event`` as the latest; a repeated event comes under its old name, with a higher count."""
        name = key_of(event).name
        self.events.pop(name, None)
        self.events[name] = event
        self._trim()

    def recall(self, past: Iterable[Raw]) -> None:
        """Put what was said earlier before what was heard."""
        earlier = {key_of(event).name: event for event in sorted(past, key=_last_seen)}
        heard, self.events = self.events, earlier
        for event in heard.values():
            self.take(event)
        self._trim()

    def _trim(self) -> None:
        while len(self.events) > MOST:
            del self.events[next(iter(self.events))]


class Feed:
    """The events of the objects that one start follows."""

    def __init__(self, watch: "EventWatch") -> None:
        self._watch = watch
        self._followed: tuple[Involved, ...] = ()

    def follow(self, involved: Involved) -> None:
        """Hear what is said about one more object from now on; before it is created, so that nothing is missed."""
        if involved not in self._followed:
            self._followed += (involved,)
            self._watch.join(involved)

    def end(self) -> None:
        """Drop what was heard."""
        for involved in self._followed:
            self._watch.part(involved)
        self._followed = ()

    def events(self, *, uid: str = "") -> tuple[Raw, ...]:
        """Return the events heard so far, the latest of each object last; with ``uid``, of that object only."""
        found = (event for involved in self._followed for event in self._watch.events_of(involved))
        return tuple(event for event in found if not uid or event["involvedObject"].get("uid") == uid)

    def listening(self, bell: asyncio.Event) -> AbstractContextManager[asyncio.Event]:
        """Set ``bell`` at each new event, while inside."""
        return self._watch.bells.listening(*self._followed, bell=bell)

    async def recall(self) -> None:
        """Ask once for what was said before, about objects that an earlier start has made."""
        for involved in self._followed:
            await self._watch.recall(involved)

    async def changes(self) -> AsyncGenerator[tuple[Raw, ...], None]:
        """Yield `events`, now and after each new one. Who leaves early does so in `contextlib.aclosing`."""
        with self._watch.bells.listening(*self._followed) as bell:
            while True:
                yield self.events()
                await bell.wait()
                bell.clear()


class EventWatch:
    """Owns the task that watches the events of one namespace while anybody follows; ``await close()``."""

    def __init__(self, api: KubeApi, namespace: str, *, chance: Chance = random.random) -> None:
        self.bells = Bells[Involved]()
        self._api = api
        self._namespace = namespace
        self._records: dict[Involved, _Record] = {}
        self._feeds = 0
        self._tasks: set[asyncio.Task[None]] = set()  # the running one, and one that is ending
        self._ending: asyncio.TimerHandle | None = None  # set while nobody follows
        self._state: State = Empty()
        self._watcher = Watcher(f"events in {namespace}", self._attempt, self._on_end, chance=chance)
        self._settled = asyncio.Event()  # the watch was opened, or cannot be
        self._was_forbidden = False

    @asynccontextmanager
    async def following(self, *involved: Involved) -> AsyncIterator[Feed]:
        """Hear what is said about these objects from now on; what was heard is dropped at the end.

        Enter before the objects are created: this waits until the watch is open, for `OPENING` at most. One whose
        name is known later is joined by `Feed.follow`.
        """
        feed = Feed(self)
        for one in involved:
            feed.follow(one)
        self._begin()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(OPENING):
                    await self._settled.wait()
            yield feed
        finally:
            feed.end()
            self._leave()

    def join(self, involved: Involved) -> None:
        """Keep what is said about an object, for one more feed."""
        self._records.setdefault(involved, _Record()).followers += 1

    def part(self, involved: Involved) -> None:
        """Drop what was heard about an object, once no feed follows it."""
        record = self._records[involved]
        record.followers -= 1
        if not record.followers:
            del self._records[involved]

    def events_of(self, involved: Involved) -> tuple[Raw, ...]:
        """Return what was heard about an object that is followed, the latest last."""
        record = self._records.get(involved)
        return tuple(record.events.values()) if record is not None else ()

    async def recall(self, involved: Involved) -> None:
        """Ask the server once for the past events of an object that is followed."""
        selector = f"involvedObject.name={involved.key.name},involvedObject.kind={involved.kind}"
        try:
            page = await self._api.list_page(EVENTS, self._namespace, field_selector=selector, limit=MOST)
        except KubeError as error:
            logger.debug("%s: its past events cannot be read: %s", involved.key, error)
            return
        record = self._records.get(involved)
        if record is not None:
            record.recall(event for event in page.items if _involved_in(event) == involved)
            self.bells.ring([involved])

    async def close(self) -> None:
        """End the watch."""
        if self._ending is not None:
            self._ending.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- The task's life ---

    def _begin(self) -> None:
        self._feeds += 1
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if all(task.cancelling() for task in self._tasks):
            self._settled.clear()
            self._state = Empty()
            task = asyncio.create_task(self._watcher.run(), name=f"events in {self._namespace}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _leave(self) -> None:
        self._feeds -= 1
        if not self._feeds:
            self._ending = asyncio.get_running_loop().call_later(LINGER, self._end)

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _attempt(self) -> None:
        """Go on from the current state until something ends it."""
        await self._watch(await self._now())

    def _on_end(self, error: KubeError | None) -> bool:
        """Return whether to go on: what may not be read is asked for again when something starts."""
        self._state = after_end(self._state, error)
        if isinstance(error, Forbidden):
            self._note_forbidden(error)
            return False
        return True

    async def _now(self) -> Listed:
        """Return where to go on, or the version of this moment: a watch without one would replay all the past."""
        if isinstance(self._state, Listed):
            return self._state
        page = await self._api.list_page(EVENTS, self._namespace, limit=1)
        return Listed(page.resource_version)

    async def _watch(self, listed: Listed) -> None:
        opened = self._api.watch(EVENTS, self._namespace, resource_version=listed.resource_version)
        async with opened as stream:
            self._state = Watching(listed.resource_version)
            self._watcher.note_opened()
            self._settled.set()
            breather = Breather()
            async for news in stream:
                self._take(news)
                if not isinstance(self._state, Watching):
                    raise end_meant_by(news)
                await breather.breathe()

    def _take(self, news: News) -> None:
        self._state = after(self._state, news)
        if isinstance(news, Odd):
            self._watcher.note_odd(news)
        if not isinstance(news, Added | Modified):
            return
        involved = _involved_in(news.obj)
        record = self._records.get(involved)
        if record is not None:
            record.take(news.obj)
            self.bells.ring([involved])

    def _note_forbidden(self, refusal: Forbidden) -> None:
        self._settled.set()
        if not self._was_forbidden:
            logger.warning("%s: no events are shown, they may not be read: %s", self._namespace, refusal)
        self._was_forbidden = True


def _involved_in(event: Raw) -> Involved:
    """Return the object that an event is about; one that nobody follows where that cannot be said."""
    said = event.get("involvedObject")
    found = [said.get(part) if isinstance(said, Mapping) else None for part in ("kind", "namespace", "name")]
    kind, namespace, name = (part if isinstance(part, str) else "" for part in found)
    return Involved(kind, Key(namespace, name))


def _last_seen(event: Raw) -> str:
    """Return when it was said last, in a form that sorts."""
    times = (event.get("lastTimestamp"), event.get("eventTime"), metadata_of(event).get("creationTimestamp"))
    return next((time for time in times if time and isinstance(time, str)), "")
