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
    While somebody waits for an object, and the API server answers, a change that the open watch has missed is shown within
    20 s. If more than five objects are waited for, each has its turn, one a second (`reopen_if_behind`).
    Polls notice a change that the watch has missed, one object a second in turn (`confirm_next`).

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
from k8s_hub.retries import RetryPolicy, Rng, retrying

CONFIRM = RetryPolicy(deadline=math.inf)
"""Retries without a deadline of its own: the waiter has one."""

RECHECK_INTERVAL = 5.0
"""Seconds without news of its object after which a waiter asks for it, and the longest wait for that answer."""

CATCH_UP = 1.0
"""Seconds in which a watch that hears delivers a change that the API server already shows."""

BETWEEN_CHECKS = 1.0
"""Seconds between two checks of one watch on average: however many starts wait, they cost one request each second."""

CHECKS_AT_ONCE = 5
"""Most checks at one time. A bookmark wakes all waiters at once, so that they also ask at once."""

WATCH_TIMEOUT = (300, 600)
"""Seconds after which the server closes a watch: rebalances watches over API servers."""


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
        rng: Rng = random.random,
    ) -> None:
        """``namespace`` None means all namespaces. ``project`` and ``index`` must be pure functions."""
        self._api = api
        self._resource = resource
        self._namespace = namespace
        self._label_selector = label_selector
        self._rng = rng
        self._notifier = Notifier[Key]()
        self._watcher = Watcher(
            api,
            resource,
            namespace,
            name=f"informer of {self}",
            on_event=self._on_event,
            on_open=self._notifier.notify_all,
            on_end=self._on_end,
            label_selector=label_selector,
            watch_timeout=WATCH_TIMEOUT,
            rng=rng,
        )
        self._store = Store(project, index, on_malformed=self._watcher.note_malformed)
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._listeners = WeakValueDictionary[Key, Listener]()
        self._listened_to = WeakKeyDictionary[Listener, Key]()
        self._next_check = self._next_confirmation = -math.inf  # loop time
        self._unchecked: dict[Key, None] = {}  # of waiters, the first to be checked next
        self._unconfirmed: list[Key] = []  # whose turn comes until all have had theirs
        # What the watch was last opened again for, by key: the object's version, or the uid of one that is gone;
        # and whether with a list.
        self._reopened_for: dict[Key, tuple[str, bool]] = {}

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
                    if not await self._next_change(wakeup, RECHECK_INTERVAL):
                        await self.reopen_if_behind(key)

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
                    if not await self._next_change(wakeup, RECHECK_INTERVAL) and is_seen:
                        await self.reopen_if_behind(key)

    def subscribe(self, *keys: Key, wakeup: asyncio.Event) -> AbstractContextManager[asyncio.Event]:
        """Set ``wakeup`` at each change of these objects or of the view's freshness, inside the context."""
        return self._notifier.subscribe(*keys, wakeup=wakeup)

    async def reopen_if_behind(self, key: Key) -> bool:
        """Open the watch again if it has missed a change of an object; return whether it did.

        Packets can get lost without an end of the connection; `Watcher` itself notices that only after a minute. A single
        event can get lost, too. A subscriber calls this after `RECHECK_INTERVAL` seconds without news of its object.

        It asks about the object whose subscriber has waited longest for a check. It asks nothing, and returns False, if it
        has asked too often already, or if no watch is open; also returns False if the API server does not answer.
        """
        now = asyncio.get_running_loop().time()
        self._unchecked[key] = None
        if not self.is_watching or now < self._next_check:
            return False
        burst = (CHECKS_AT_ONCE - 1) * BETWEEN_CHECKS
        self._next_check = max(self._next_check, now - burst) + BETWEEN_CHECKS
        self._unchecked = {each: None for each in self._unchecked if each == key or each in self._notifier}
        checked = next(iter(self._unchecked))
        del self._unchecked[checked]
        return await self.repair(checked)

    def listen(self, key: Key, listener: Listener) -> None:
        """Tell the listener of the changes of this object, and no longer of another, while somebody else keeps it."""
        before = self._listened_to.get(listener)
        if before is not None and self._listeners.get(before) is listener:
            del self._listeners[before]
        self._listeners[key] = listener
        self._listened_to[listener] = key

    async def confirm_next(self) -> None:
        """Ask about the next object that the view shows to a listener; open the watch again if it lacks a change.

        A watch that has lost an event never repairs that. This asks about one object each second, in turn, however many
        callers there are.
        """
        now = asyncio.get_running_loop().time()
        if not self.is_watching or now < self._next_confirmation:
            return
        self._next_confirmation = now + BETWEEN_CHECKS
        if not self._unconfirmed:
            self._unconfirmed = [key for key in self._listeners if self.view.entry(key) is not None]
        if self._unconfirmed:
            await self.repair(self._unconfirmed.pop(), can_resume=False)

    def reopen(self, why: str) -> None:
        """Open the watch again. ``why`` is for the log."""
        self._watcher.reopen(why)

    async def repair(self, key: Key, *, can_resume: bool = True) -> bool:
        """Ask for the object, and open the watch again if the view does not soon show the answer; return whether it did.

        Costs a request at each call: waiters call `reopen_if_behind`.

        To resume the watch does not bring back an event that got lost before a later one. A view that has seen the object's
        version, but does not show it, has lost it, and a list is needed. A deleted object has no version: if
        ``can_resume``, the watch is resumed first, and a list follows if that did not help.
        """
        before = self.view.entry(key)
        try:
            async with asyncio.timeout(RECHECK_INTERVAL):
                found = await self._selected(key)
        except (KubeError, TimeoutError):
            return False
        if await self._changes(
            key, lambda: self._store.would_keep(key, found) or self.view.entry(key) is not before
        ):
            return False
        version = "" if found is None else version_of(found)
        change = version or ("" if before is None else before.uid)
        latest, was_listed = self._reopened_for.get(key, ("", False))
        if latest == change and was_listed:
            return False  # lists disagree with the answer: another one would not help
        is_lost = self.view.has_seen(version) if version else not can_resume or latest == change
        why = f"it has lost a change of {key}"
        if not is_lost:
            why = f"it has not shown a change of {key}"
        if not self._watcher.reopen(why, with_list=is_lost):
            return False
        self._reopened_for = {
            each: last for each, last in self._reopened_for.items() if self._is_followed(each)
        }
        self._reopened_for[key] = (change, is_lost)
        return True

    def _is_followed(self, key: Key) -> bool:
        return key in self._notifier or key in self._listeners or self.view.entry(key) is not None

    async def _selected(self, key: Key) -> Raw | None:
        """Return the object; None if it does not exist or is not selected. Raises KubeError."""
        try:
            found = await self._api.get(self._resource, key)
        except NotFound:
            return None
        if not self._label_selector or self.view.entry(key) is not None:
            return found
        # Only the API server can tell whether the view lacks it, or it is not selected.
        page = await self._api.list_page(
            self._resource,
            key.namespace,
            label_selector=self._label_selector,
            field_selector=f"metadata.name={key.name}",
            limit=1,
        )
        return found if page.items else None

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
                CONFIRM, lambda: self._api.get(self._resource, key), on=Unavailable, rng=self._rng
            )
        except NotFound:
            return False
        return uid_of(found) == uid

    # --- Callbacks of the watcher ---

    def _on_end(self, _error: KubeError | None) -> bool:
        self._notifier.notify_all()
        return True

    def _on_event(self, event: WatchEvent) -> None:
        """Apply an event to the store: the only place that changes the view."""
        changed = self._store.apply(event)
        # One look-up each: a listener may be garbage-collected between two.
        for listener in [found for key in changed if (found := self._listeners.get(key)) is not None]:
            listener.object_changed()
        match event:
            case Bookmark() | ListPage(continue_token=""):
                # What is missing now is known to be missing, which no single key's change tells: see ``since``.
                self._notifier.notify_all()
            case _:
                self._notifier.notify(changed)
