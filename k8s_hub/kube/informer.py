"""A view of one kind of object that stays fresh by itself, and wakes those who wait for a change.

Expected flow
    1. The first list is read in pages, then a watch is opened at the list's version.
    2. A watch that ends or breaks is resumed at the last version heard; nothing is listed.
    3. Only a version the server no longer knows (410), or cannot have known, leads to a new list.

Guarantees
    It never gives up: whatever fails is tried again after a capped, jittered pause (`k8s_hub.kube.watcher`).
    An object that cannot be read or taken in is skipped; all others are shown.
    After an outage it lists at most once, and not at all if the server still knows our version.
    Readers never see half a list. What vanished during an outage is a change like any other.
    A waiter is woken by its own key's changes; cancelling one leaves nothing behind.
    No piece of work holds the loop for long: see `k8s_hub.kube.watcher`.

Caveats
    A view is of the past. An object that is missing from a view that is not fresh is unknown, not gone:
    ask `age` and `is_watching`, wait with ``since``, or use `wait_gone`.
    Two changes in quick succession may be seen as one: conditions are about states, not about events.
"""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, suppress

from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.bells import Bells
from k8s_hub.kube.core.errors import Gone, KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import Resource
from k8s_hub.kube.core.store import Index, Project, Store, View, no_index
from k8s_hub.kube.core.watch import (
    Bookmark,
    Empty,
    Listed,
    Listing,
    News,
    Page,
    State,
    Watching,
    after,
    after_end,
    end_meant_by,
)
from k8s_hub.kube.metrics import LISTS
from k8s_hub.kube.watcher import Breather, Watcher
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
        self._label_selector = label_selector
        self._chance = chance
        self._watcher = Watcher(f"informer of {self}", self._attempt, self._on_end, chance=chance)
        self._store = Store(project, index, on_odd=self._watcher.note_odd)
        self._bells = Bells[Key]()
        self._state: State = Empty()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._heard = -math.inf  # loop time of the last word from the server
        self._failure: KubeError | None = None  # the last one; None while all is well

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
        self._state = after_end(self._state, None)
        self._bells.ring_all()

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
        return isinstance(self._state, Watching)

    @property
    def failure(self) -> KubeError | None:
        """What went wrong last; None while all is well."""
        return self._failure

    def age(self) -> float:
        """Return the seconds since the server was last heard, infinite before the first time.

        Up to 60 on a quiet cluster (bookmarks); beyond 75 the view is stale.
        """
        return asyncio.get_running_loop().time() - self._heard

    # --- What waiters await; every deadline is in the loop's time ---

    async def wait_synced(self, *, deadline: float) -> None:
        """Return once the first list is complete.

        Raises TimeoutError at the deadline, and at once what the server answers if it is not `Unavailable` (a Role
        that does not allow the list, for example).
        """
        async with asyncio.timeout_at(deadline):
            with self._bells.listening() as bell:
                while not self.is_synced:
                    if self._failure is not None and not isinstance(self._failure, Unavailable | Gone):
                        raise self._failure
                    await self._rung(bell)

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
        so that None means deleted and not "not heard of yet". Raises TimeoutError at the deadline.
        """
        async with asyncio.timeout_at(deadline):
            with self._bells.listening(key) as bell:
                while True:
                    if self.view.has_seen(since):
                        kept = self.view.get(key)
                        if condition(kept):
                            return kept
                    await self._rung(bell)

    async def wait_gone(self, key: Key, uid: str, *, deadline: float) -> None:
        """Return once the object with this uid does not exist, whether or not another has its name.

        True to its word also just after a create that the view has not heard of: an absence that was not watched
        happening is confirmed by one GET. Raises TimeoutError at the deadline.
        """
        async with asyncio.timeout_at(deadline):
            with self._bells.listening(key) as bell:
                was_seen = False
                while True:
                    entry = self.view.entry(key)
                    if entry is not None and entry.uid == uid:
                        was_seen = True
                    elif was_seen or not await self._exists(key, uid):
                        return
                    await self._rung(bell)

    def listening(self, *keys: Key, bell: asyncio.Event) -> AbstractContextManager[asyncio.Event]:
        """Set ``bell`` at each change of these objects and of the view's freshness, while inside."""
        return self._bells.listening(*keys, bell=bell)

    async def changes(self, key: Key) -> AsyncGenerator[Raw | None, None]:
        """Yield what is kept of the object (None: it is not there), now and after each change, without end.

        Who leaves early does so inside `contextlib.aclosing`.
        """
        await self.wait_synced(deadline=math.inf)
        with self._bells.listening(key) as bell:
            entry = self.view.entry(key)
            yield None if entry is None else entry.kept
            while True:
                await self._rung(bell)
                if self.view.entry(key) is not entry:
                    entry = self.view.entry(key)
                    yield None if entry is None else entry.kept

    async def _rung(self, bell: asyncio.Event) -> None:
        if self._closed:
            raise Unavailable(f"the view of {self} is closed", reason="Closed")
        await bell.wait()
        bell.clear()

    async def _exists(self, key: Key, uid: str) -> bool:
        try:
            found = await retrying(
                CONFIRM, lambda: self._api.get(self._resource, key), on=Unavailable, chance=self._chance
            )
        except NotFound:
            return False
        return uid_of(found) == uid

    # --- The task ---

    async def _attempt(self) -> None:
        """Go on from the current state until something ends it."""
        await self._watch(await self._listed())

    def _on_end(self, error: KubeError | None) -> bool:
        self._state = after_end(self._state, error)
        self._failure = error
        self._bells.ring_all()
        return True

    async def _listed(self) -> Listed:
        """Read the pages that are still to be read; none if the view only has to be resumed."""
        while not isinstance(self._state, Listed):
            token = self._state.continue_token if isinstance(self._state, Listing) else ""
            page = await self._api.list_page(
                self._resource, self._namespace, label_selector=self._label_selector, continue_token=token
            )
            # A turn of the loop between decoding a page and taking it in: each is a long piece of work.
            await asyncio.sleep(0)
            self._take(page)
            if not page.continue_token:
                LISTS.labels(self._resource.plural).inc()
        return self._state

    async def _watch(self, listed: Listed) -> None:
        opened = self._api.watch(
            self._resource,
            self._namespace,
            resource_version=listed.resource_version,
            label_selector=self._label_selector,
            timeout_seconds=round(LIFETIME[0] + (LIFETIME[1] - LIFETIME[0]) * self._chance()),
        )
        async with opened as stream:
            self._note_opened(listed)
            breather = Breather()
            async for news in stream:
                self._take(news)
                if not self.is_watching:
                    raise end_meant_by(news)
                await breather.breathe()

    def _note_opened(self, listed: Listed) -> None:
        self._state = Watching(listed.resource_version)
        self._heard = asyncio.get_running_loop().time()
        self._watcher.note_opened()
        self._failure = None
        self._bells.ring_all()

    def _take(self, news: News) -> None:
        """The one place where the view changes."""
        changed = self._store.apply(news)
        self._state = after(self._state, news)
        self._heard = asyncio.get_running_loop().time()
        match news:
            case Bookmark() | Page(continue_token=""):
                # What is missing now is known to be missing, which no single key's change tells: see ``since``.
                self._bells.ring_all()
            case _:
                self._bells.ring(changed)
