"""Kubernetes events about starting servers: one event watch per namespace, open while anything starts.

The API server has no watch cache for events, and a namespace may hold tens of thousands. So the watch starts from now,
without a list, all concurrent starts share it, and it drops events about other objects. Events help users, but nothing
depends on them: a failure only means fewer events. The watch restarts like an informer's (`k8s_hub.kube.watcher`).
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.core.errors import Forbidden, KubeError
from k8s_hub.kube.core.resources import EVENTS
from k8s_hub.kube.core.watch import Malformed, Updated, WatchEvent
from k8s_hub.kube.notifier import Notifier
from k8s_hub.kube.watcher import Watcher
from k8s_hub.objects.keys import Key, key_of, metadata_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import Rng

logger = logging.getLogger(__name__)

LINGER = 30.0  # seconds to keep the watch open after the last start: the next one is likely soon
OPENING = 2.0  # seconds that a start waits for the watch at most
MOST = 50  # latest events to keep per object


class Involved(NamedTuple):
    """The object of an event: its kind, "Pod" or "PersistentVolumeClaim", and its key."""

    kind: str
    key: Key


@dataclass(slots=True)
class _Record:
    """The events of one object by name, in order of arrival, and the number of subscriptions."""

    subscriptions: int = 0
    events: dict[str, Raw] = field(default_factory=dict)

    def take(self, event: Raw) -> None:
        """Keep ``event`` as the latest. A repeated event has its old name and a higher count."""
        name = key_of(event).name
        self.events.pop(name, None)
        self.events[name] = event
        self._trim()

    def backfill(self, past: Iterable[Raw]) -> None:
        """Insert past events before those that arrived since."""
        earlier = {key_of(event).name: event for event in sorted(past, key=_last_seen)}
        since, self.events = self.events, earlier
        for event in since.values():
            self.take(event)
        self._trim()

    def _trim(self) -> None:
        while len(self.events) > MOST:
            del self.events[next(iter(self.events))]


class EventSubscription:
    """The events of one start's objects."""

    def __init__(self, watch: "EventWatch") -> None:
        self._watch = watch
        self._objects: tuple[Involved, ...] = ()

    def add(self, involved: Involved) -> None:
        """Subscribe to one more object. Call it before the object is created, to miss no event."""
        if involved not in self._objects:
            self._objects += (involved,)
            self._watch.acquire(involved)

    def end(self) -> None:
        """Drop the events."""
        for involved in self._objects:
            self._watch.release(involved)
        self._objects = ()

    def events(self) -> tuple[Raw, ...]:
        """Return the events so far, the latest of each object last. Includes events of earlier objects of the same name."""
        return tuple(event for involved in self._objects for event in self._watch.events_of(involved))

    def notifying(self, wakeup: asyncio.Event) -> AbstractContextManager[asyncio.Event]:
        """Set ``wakeup`` at each new event, inside the context."""
        return self._watch.notifier.subscribe(*self._objects, wakeup=wakeup)

    async def backfill(self) -> None:
        """Read past events once, for objects that an earlier start created."""
        for involved in self._objects:
            await self._watch.backfill(involved)


class EventWatch:
    """Owns the task that watches the events of one namespace while there are subscriptions: ``await close()``."""

    def __init__(self, api: KubeApi, namespace: str, *, rng: Rng = random.random) -> None:
        self.notifier = Notifier[Involved]()
        self._api = api
        self._namespace = namespace
        self._records: dict[Involved, _Record] = {}
        self._subscriptions = 0
        self._tasks: set[asyncio.Task[None]] = set()  # the running one, and one that is ending
        self._running: asyncio.Task[None] | None = None  # None also while it is ending
        self._ending: asyncio.TimerHandle | None = None  # set while nobody is subscribed
        self._settled = asyncio.Event()  # the watch was opened, or cannot be
        self._was_forbidden = False
        self._watcher = Watcher(
            api,
            EVENTS,
            namespace,
            name=f"events in {namespace}",
            on_event=self._on_event,
            on_open=self._settled.set,
            on_end=self._on_end,
            from_now=True,
            rng=rng,
        )

    @asynccontextmanager
    async def subscribe(self, *objects: Involved) -> AsyncIterator[EventSubscription]:
        """Keep the events of these objects inside the context.

        Enter before the objects are created: this waits until the watch is open, at most `OPENING` seconds. Add objects
        whose names are known later with `EventSubscription.add`.
        """
        subscription = EventSubscription(self)
        for involved in objects:
            subscription.add(involved)
        self._begin()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(OPENING):
                    await self._settled.wait()
            yield subscription
        finally:
            subscription.end()
            self._leave()

    def acquire(self, involved: Involved) -> None:
        """Keep an object's events, for one more subscription."""
        self._records.setdefault(involved, _Record()).subscriptions += 1

    def release(self, involved: Involved) -> None:
        """Drop an object's events, once no subscription has it."""
        record = self._records[involved]
        record.subscriptions -= 1
        if not record.subscriptions:
            del self._records[involved]

    def events_of(self, involved: Involved) -> tuple[Raw, ...]:
        """Return the events of a subscribed object, the latest last."""
        record = self._records.get(involved)
        return tuple(record.events.values()) if record is not None else ()

    async def backfill(self, involved: Involved) -> None:
        """Read the past events of a subscribed object once."""
        selector = f"involvedObject.name={involved.key.name},involvedObject.kind={involved.kind}"
        try:
            page = await self._api.list_page(EVENTS, self._namespace, field_selector=selector, limit=MOST)
        except KubeError as error:
            logger.debug("%s: cannot read its past events: %s", involved.key, error)
            return
        record = self._records.get(involved)
        if record is not None:
            record.backfill(event for event in page.items if _involved_in(event) == involved)
            self.notifier.notify([involved])

    def reopen(self, why: str) -> None:
        """Open the watch again, if it is open. ``why`` is for the log."""
        self._watcher.reopen(why)

    async def close(self) -> None:
        """End the watch."""
        if self._ending is not None:
            self._ending.cancel()
        self._end()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- Life cycle of the task ---

    def _begin(self) -> None:
        self._subscriptions += 1
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        # Not `Task.cancelling()`: a time-out in the task counts as well, as that of `Watcher.reopen`.
        if self._running is None or self._running.done():
            self._settled.clear()
            self._running = asyncio.create_task(self._watcher.run(), name=f"events in {self._namespace}")
            self._tasks.add(self._running)
            self._running.add_done_callback(self._tasks.discard)

    def _leave(self) -> None:
        self._subscriptions -= 1
        if not self._subscriptions:
            self._ending = asyncio.get_running_loop().call_later(LINGER, self._end)

    def _end(self) -> None:
        self._running = None
        for task in self._tasks:
            task.cancel()

    # --- Callbacks of the watcher ---

    def _on_event(self, event: WatchEvent) -> None:
        if isinstance(event, Malformed):
            self._watcher.note_malformed(event)
        if not isinstance(event, Updated):
            return
        involved = _involved_in(event.obj)
        record = self._records.get(involved)
        if record is not None:
            record.take(event.obj)
            self.notifier.notify([involved])

    def _on_end(self, error: KubeError | None) -> bool:
        """Return whether to retry. After a Forbidden, the next start tries again."""
        if not isinstance(error, Forbidden):
            return True
        self._settled.set()
        if not self._was_forbidden:
            logger.warning("events in %s: not shown, the hub may not read them: %s", self._namespace, error)
        self._was_forbidden = True
        return False


def _involved_in(event: Raw) -> Involved:
    """Return the object of an event; a key with empty parts, which has no subscription, if the event is malformed."""
    said = event.get("involvedObject")
    found = [said.get(part) if isinstance(said, Mapping) else None for part in ("kind", "namespace", "name")]
    kind, namespace, name = (part if isinstance(part, str) else "" for part in found)
    return Involved(kind, Key(namespace, name))


def _last_seen(event: Raw) -> str:
    """Return the event's last time, as a sortable text."""
    times = (event.get("lastTimestamp"), event.get("eventTime"), metadata_of(event).get("creationTimestamp"))
    return next((time for time in times if time and isinstance(time, str)), "")
