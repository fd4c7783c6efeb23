"""A view of one kind of object that stays fresh by itself, and wakes those who wait for a change.

Expected flow (`k8s_hub.kube.watcher`)
    1. The first list is read in pages, then a watch is opened at the list's version.
    2. A watch that ends or breaks is resumed at the last version it came to; nothing is listed.
    3. Only a version the server no longer knows (410), or cannot have known, leads to a new list.

Guarantees
    It never gives up: whatever fails is tried again after a capped, jittered pause.
    An object that cannot be read or taken in is skipped; all others are shown.
    After an outage it lists at most once, and not at all if the server still knows our version.
    Readers never see half a list. What vanished during an outage is a change like any other.
    A waiter is woken by its own key's changes; cancelling one leaves nothing behind.
    No piece of work holds the loop for long.

Caveats
    A view is of the past. An object that is missing from a view that is not fresh is unknown, not gone:
    ask `staleness` and `is_watching`, wait with ``since``, or use `wait_gone`.
    Two changes in quick succession may be seen as one: conditions are about states, not about events.
"""

import asyncio
import math
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.core.errors import Gone, KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import Resource
from k8s_hub.kube.core.store import Index, Project, Store, View, no_index
from k8s_hub.kube.core.watch import Bookmark, ListPage, WatchEvent, Watching
from k8s_hub.kube.notifier import Notifier
from k8s_hub.kube.watcher import Watcher
from k8s_hub.objects.keys import Key, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import Chance, RetryPolicy, retrying

CONFIRM = RetryPolicy(deadline=math.inf)
"""Bounded by the deadline of the waiter."""

LIFETIME = (300, 600)  # seconds after which the server ends a watch: spreads reconnections over API servers


class Informer:
    """Owns one task that keeps a store fresh; ``await start()``, ``await close()``."""

    def __init__(
        self,
        api: KubeApi,
        resource: Resource,
        namespace: str | None,
        *,
        label_selector: str = "",
        project: Project,
        index: Index = no_index,
        chance: Chance = random.random,
    ) -> None:
        """``namespace`` None means all; ``project`` and ``index`` see no clock and have no effects."""
        self._api = api
        self._resource = resource
        self._namespace = namespace
        self._chance = chance
        self._notifier = Notifier[Key]()
        self._watcher = Watcher(
            api,
            resource,
            namespace,
            name=f"informer of {self}",
            take=self._take,
            on_open=self._notifier.notify_all,
            on_end=self._on_end,
            label_selector=label_selector,
            lifetime=LIFETIME,
            chance=chance,
        )
        self._store = Store(project, index, on_odd=self._watcher.note_odd)
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __str__(self) -> str:
        return f"{self._resource} in {self._namespace or 'all namespaces'}"

    # --- Its life ---

    async def start(self) -> None:
        """Begin; the first list is awaited with `wait_synced`. Starting twice is starting once."""
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._watcher.run(), name=f"informer of {self}")

    async def close(self) -> None:
        """End the task; whoever still waits gets `Unavailable`."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._notifier.notify_all()

    # --- What readers ask ---

    @property
    def view(self) -> View:
        """What is known; empty until `is_synced`."""
        return self._store.view

    @property
    def is_synced(self) -> bool:
        """True once the first list was complete; it may be old by now."""
        return bool(self.view.resource_version)

    @property
    def is_watching(self) -> bool:
        """True while a watch is open, as far as we can know: a vanished peer is noticed after 75 s."""
        return not self._closed and isinstance(self._watcher.state, Watching)

    @property
    def failure(self) -> KubeError | None:
        """What went wrong last; None while all is well."""
        return self._watcher.failure

    def staleness(self) -> float:
        """Return the seconds since the last word from the server, infinite before the first.

        Up to 60 on a quiet cluster (bookmarks); beyond 75 the view is stale.
        """
        return asyncio.get_running_loop().time() - self._watcher.last_event_at

    # --- What waiters await; every deadline is in the loop's time ---

    async def wait_synced(self, *, deadline: float) -> None:
        """Return once the first list is complete.

        Raises TimeoutError at the deadline, and at once what the server answers if it is not `Unavailable` (a Role
        that does not allow the list, for example).
        """
        async with asyncio.timeout_at(deadline):
            with self._notifier.subscribe() as wakeup:
                while not self.is_synced:
                    if self.failure is not None and not isinstance(self.failure, Unavailable | Gone):
                        raise self.failure
                    await self._next_change(wakeup)

    async def wait_for(
        self,
        key: Key,
        condition: Callable[[Raw | None], bool],
        *,
        deadline: float,
        since: str = "",
    ) -> Raw | None:
        """Return what is kept of the object (None: it is not there) once ``condition`` holds for it.

        ``since`` is the resourceVersion of a reply to a create: nothing is judged from a view older than that,
        so that None means deleted and not "not known of yet". Raises TimeoutError at the deadline.
        """
        async with asyncio.timeout_at(deadline):
            with self._notifier.subscribe(key) as wakeup:
                while True:
                    if self.view.has_seen(since):
                        kept = self.view.get(key)
                        if condition(kept):
                            return kept
                    await self._next_change(wakeup)

    async def wait_gone(self, key: Key, uid: str, *, deadline: float) -> None:
        """Return once the object with this uid does not exist, whether or not another has its name.

        True to its word also just after a create that the view does not show yet: an absence that was not watched
        happening is confirmed by one GET. Raises TimeoutError at the deadline.
        """
        async with asyncio.timeout_at(deadline):
            with self._notifier.subscribe(key) as wakeup:
                was_seen = False
                while True:
                    entry = self.view.entry(key)
                    if entry is not None and entry.uid == uid:
                        was_seen = True
                    elif was_seen or not await self._exists(key, uid):
                        return
                    await self._next_change(wakeup)

    def subscribe(self, *keys: Key, wakeup: asyncio.Event) -> AbstractContextManager[asyncio.Event]:
        """Set ``wakeup`` at each change of these objects and of the view's freshness, while inside."""
        return self._notifier.subscribe(*keys, wakeup=wakeup)

    async def _next_change(self, wakeup: asyncio.Event) -> None:
        if self._closed:
            raise Unavailable(f"the view of {self} is closed", reason="Closed")
        await wakeup.wait()
        wakeup.clear()

    async def _exists(self, key: Key, uid: str) -> bool:
        try:
            found = await retrying(
                CONFIRM, lambda: self._api.get(self._resource, key), on=Unavailable, chance=self._chance
            )
        except NotFound:
            return False
        return uid_of(found) == uid

    # --- What the watcher reports ---

    def _on_end(self, _error: KubeError | None) -> bool:
        self._notifier.notify_all()
        return True

    def _take(self, event: WatchEvent) -> None:
        """The one place where the view changes."""
        changed = self._store.apply(event)
        match event:
            case Bookmark() | ListPage(continue_token=""):
                # What is missing now is known to be missing, which no single key's change tells: see ``since``.
                self._notifier.notify_all()
            case _:
                self._notifier.notify(changed)
