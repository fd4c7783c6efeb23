"""An informer: a view of one resource that stays fresh by itself, and wakes waiters at changes.

Expected flow (`k8s_hub.kube.watcher`)
    1. It reads the first list in pages, then opens a watch at the list's version.
    2. When a watch ends or breaks, it resumes at the last version, without a list.
    3. It lists again only if it cannot resume: the server no longer knows the version (410), or an event could not be read
       or got lost.

Guarantees
    It never gives up: it retries every failure after a capped, jittered pause.
    It skips an object that it cannot read or store, and shows all others.
    After an outage it lists at most once, and not at all if the server still knows the version.
    Readers never see a partial list. An object that vanished during an outage is reported as a change.
    A waiter wakes at changes of its own keys. Cancelling it leaves nothing behind.
    It never blocks the event loop for long.
    While somebody waits for an object, a watch that is open but hears nothing more is noticed within 10 s (`check`).
    Polls notice an object whose end the watch has lost, one object a second (`confirm_next`).

Caveats
    A view shows the past. If it is stale, a missing object is unknown, not gone: check `staleness` and `is_watching`, wait
    with ``since``, or use `wait_gone`.
    Two quick changes may appear as one: write conditions about states, not about events.
"""

import asyncio
import math
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.core.errors import Forbidden, KubeError, NotFound, RelistRequired, Unavailable
from k8s_hub.kube.core.resources import Resource
from k8s_hub.kube.core.store import Index, Project, Store, View, no_index
from k8s_hub.kube.core.watch import Bookmark, ListPage, WatchEvent, Watching
from k8s_hub.kube.notifier import Notifier
from k8s_hub.kube.watcher import Watcher
from k8s_hub.objects.keys import Key, uid_of, version_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import Chance, RetryPolicy, retrying

CONFIRM = RetryPolicy(deadline=math.inf)
"""Retries without a deadline of its own: the waiter has one."""

QUIET = 5.0
"""Seconds of silence after which a waiter asks whether its watch still hears."""

CATCH_UP = 1.0
"""Seconds in which a watch that hears delivers a change that the API server already shows."""

BETWEEN_CHECKS = 1.0
"""Least seconds between two checks of one watch: however many starts wait, they cost one request each second."""

LIFETIME = (300, 600)  # seconds after which the server closes a watch: rebalances watches over API servers


class Listener(Protocol):
    """Gets the changes of one object without a task of its own."""

    def object_changed(self) -> None:
        """Return at once, and raise nothing: the informer calls this for each change of the kept object."""


class Informer:
    """Owns the task that keeps a store fresh: ``await start()``, ``await close()``."""

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
        """``namespace`` None means all namespaces. ``project`` and ``index`` must be pure functions."""
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
        #: By the key of the object that each listens to, as long as somebody else keeps the listener.
        self.listeners = WeakValueDictionary[Key, Listener]()
        self._next_check = self._next_confirmation = -math.inf  # loop time
        self._reopened_for: Key | None = None  # by the last check
        self._unconfirmed: list[Key] = []  # whose turn comes until all have had theirs

    def __str__(self) -> str:
        return f"{self._resource} in {self._namespace or 'all namespaces'}"

    # --- Life cycle ---

    async def start(self) -> None:
        """Start the task; `wait_synced` waits for the first list. A second call does nothing."""
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._watcher.run(), name=f"informer of {self}")

    async def close(self) -> None:
        """End the task; waiters get `Unavailable`. If the caller is cancelled, the task ends all the same."""
        self._closed = True
        self._notifier.notify_all()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # --- For readers ---

    @property
    def view(self) -> View:
        """The view, empty until `is_synced`."""
        return self._store.view

    @property
    def is_synced(self) -> bool:
        """True since the first complete list, even if the view is stale."""
        return bool(self.view.resource_version)

    @property
    def is_watching(self) -> bool:
        """True while a watch is open. A vanished peer is detected after 75 s."""
        return not self._closed and isinstance(self._watcher.state, Watching)

    @property
    def failure(self) -> KubeError | None:
        """The last error; None while a watch is open."""
        return self._watcher.failure

    @property
    def refusal(self) -> KubeError | None:
        """The last error if no retry is likely to help: a missing right, or an invalid first list; else None."""
        if isinstance(self.failure, Unavailable | RelistRequired):
            return None
        return None if self.is_synced and not isinstance(self.failure, Forbidden) else self.failure

    def staleness(self) -> float:
        """Return the seconds since the last data from the server, infinite before the first.

        Up to 60 on a quiet cluster (bookmarks). Beyond 75 the view is stale.
        """
        return asyncio.get_running_loop().time() - self._watcher.last_event_at

    # --- For waiters; every deadline is in loop time ---

    async def wait_synced(self, *, deadline: float) -> None:
        """Return once the first list is complete.

        Raises TimeoutError at the deadline. Raises a `refusal` at once, such as a `Forbidden` list.
        """
        async with asyncio.timeout_at(deadline):
            with self._notifier.subscribe() as wakeup:
                while not self.is_synced:
                    if self.refusal is not None:
                        raise self.refusal
                    await self._next_change(wakeup)

    async def wait_for(
        self,
        key: Key,
        condition: Callable[[Raw | None], bool],
        *,
        deadline: float,
        since: str = "",
    ) -> Raw | None:
        """Return the kept object (None: it is not there) once ``condition`` is true for it.

        ``since``: the resourceVersion of the created object. The condition is not called for an older view, so None means
        deleted, not "not seen yet". Raises TimeoutError at the deadline.
        """
        async with asyncio.timeout_at(deadline):
            with self._notifier.subscribe(key) as wakeup:
                while True:
                    if self.view.has_seen(since):
                        kept = self.view.get(key)
                        if condition(kept):
                            return kept
                    if not await self._next_change(wakeup, QUIET):
                        await self.check(key)

    async def wait_gone(self, key: Key, uid: str, *, deadline: float) -> None:
        """Return once the object with this uid is gone, whether or not another one has its name.

        While the view does not show the object, a GET confirms its absence: the view may not show a recent create yet.
        Raises TimeoutError at the deadline.
        """
        async with asyncio.timeout_at(deadline):
            with self._notifier.subscribe(key) as wakeup:
                was_seen = False
                while True:
                    entry = self.view.entry(key)
                    is_seen = entry is not None and entry.uid == uid
                    if not is_seen and (was_seen or not await self._exists(key, uid)):
                        return
                    was_seen = is_seen
                    if not await self._next_change(wakeup, QUIET) and is_seen:
                        await self.check(key)

    def subscribe(self, *keys: Key, wakeup: asyncio.Event) -> AbstractContextManager[asyncio.Event]:
        """Set ``wakeup`` at each change of these objects or of the view's freshness, inside the context."""
        return self._notifier.subscribe(*keys, wakeup=wakeup)

    async def check(self, key: Key) -> bool:
        """Return False, and open the watch again, if it is silent although this object has changed.

        Packets can get lost without an end of the connection; `Watcher` itself notices that only after a minute. This asks
        nothing while the watch hears something, and nothing if the API server does not answer.
        """
        now = asyncio.get_running_loop().time()
        if not self.is_watching or self.staleness() < QUIET or now < self._next_check:
            return True
        self._next_check = now + BETWEEN_CHECKS
        try:
            version = version_of(await self._api.get(self._resource, key))
        except NotFound:
            version = None
        except KubeError:
            return True
        if await self._catches_up(key, version):
            self._reopened_for = None
            return True
        # To resume does not bring back an event that got lost.
        is_lost, self._reopened_for = self._reopened_for == key, key
        self._watcher.reopen(
            f"it was silent for {self.staleness():.0f} s and missed a change of {key}", with_list=is_lost
        )
        return False

    async def confirm_next(self) -> None:
        """Ask about the next object with a listener; list again if the view shows it and it does not exist any more.

        A watch that has lost the event of an end never repairs that. This asks about one object each second, in turn,
        however many callers there are.
        """
        now = asyncio.get_running_loop().time()
        if not self.is_watching or now < self._next_confirmation:
            return
        self._next_confirmation = now + BETWEEN_CHECKS
        self._unconfirmed = self._unconfirmed or list(self.listeners)
        key = self._unconfirmed.pop() if self._unconfirmed else None
        entry = None if key is None else self.view.entry(key)
        if key is None or entry is None:
            return
        try:
            if uid_of(await self._api.get(self._resource, key)) == entry.uid:
                return
        except NotFound:
            pass
        except KubeError:
            return
        if not await self._changes(key, lambda: self.view.entry(key) is not entry):
            self._watcher.reopen(f"it has lost the end of {key}", with_list=True)

    def reopen(self, why: str) -> None:
        """Open the watch again. ``why`` is for the log."""
        self._watcher.reopen(why)

    async def _catches_up(self, key: Key, version: str | None) -> bool:
        """Tell whether the view shows, at once or soon, the object of this version; None: that it is gone."""
        if version is None:
            return await self._changes(key, lambda: self.view.get(key) is None)
        return await self._changes(key, lambda: self.view.has_seen(version))

    async def _changes(self, key: Key, has_changed: Callable[[], bool]) -> bool:
        """Tell whether this is so at once, or soon after a change of the object."""
        with self.subscribe(key, wakeup=asyncio.Event()) as wakeup, suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                while not has_changed():
                    await wakeup.wait()
                    wakeup.clear()
                return True
        return False

    async def _next_change(self, wakeup: asyncio.Event, seconds: float | None = None) -> bool:
        """Return True at a change, False after ``seconds`` without one."""
        if self._closed:
            raise Unavailable(f"the view of {self} is closed", reason="Closed")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await wakeup.wait()
                wakeup.clear()
                return True
        return False

    async def _exists(self, key: Key, uid: str) -> bool:
        try:
            found = await retrying(
                CONFIRM, lambda: self._api.get(self._resource, key), on=Unavailable, chance=self._chance
            )
        except NotFound:
            return False
        return uid_of(found) == uid

    # --- Callbacks of the watcher ---

    def _on_end(self, _error: KubeError | None) -> bool:
        self._notifier.notify_all()
        return True

    def _take(self, event: WatchEvent) -> None:
        """Apply an event to the store: the only place that changes the view."""
        changed = self._store.apply(event)
        for listener in [self.listeners[key] for key in changed if key in self.listeners]:
            listener.object_changed()
        match event:
            case Bookmark() | ListPage(continue_token=""):
                # What is missing now is known to be missing, which no single key's change tells: see ``since``.
                self._notifier.notify_all()
            case _:
                self._notifier.notify(changed)
