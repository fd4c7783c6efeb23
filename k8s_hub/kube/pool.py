"""The pool that all spawners of a process share: connections, informers, event watches, pending deletes and background tasks.

Two hundred concurrent starts open one connection and read one list. Cancelling a caller does not close the others'
connection, and after a failure the next caller tries again.
"""

import asyncio
import gc
import random
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakSet

from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.connection import Connection
from k8s_hub.kube.core.resources import Resource
from k8s_hub.kube.core.store import Index, Project, no_index
from k8s_hub.kube.event_subscription import EventWatch
from k8s_hub.kube.informer import Informer
from k8s_hub.kube.late_creates import LateCreates
from k8s_hub.kube.library import LibraryClient
from k8s_hub.kube.notifier import Turnstile
from k8s_hub.kube.pending_deletes import PendingDeletes
from k8s_hub.retries import Rng


@cache
def freeze_gc_baseline() -> None:
    """Exclude all present objects from garbage collection, once.

    Objects that lose their last reference are still freed. Only reference cycles among present objects stay: about 900
    garbage objects of a hub's start, and at most its first users and servers.
    """
    gc.freeze()


class _Scope(NamedTuple):
    resource: Resource
    namespace: str | None
    label_selector: str


@dataclass(frozen=True, slots=True)
class _Shared:
    informer: Informer
    project: Project
    index: Index


class _Cluster:
    """Everything that is shared for one API server."""

    def __init__(self, connection: Connection, rng: Rng) -> None:
        self.api = KubeApi(connection)
        self.pending_deletes = PendingDeletes(self.api)
        self.late_creates = LateCreates()
        self.turnstile = Turnstile()
        self._connection = connection
        self._rng = rng
        self._informers: dict[_Scope, _Shared] = {}
        self._event_watches: dict[str, EventWatch] = {}
        self._tasks: list[asyncio.Task[None]] = []
        #: Weak references to the holders of each namespace's informers.
        self._holders: dict[str, WeakSet[object]] = {}

    def hold(self, namespace: str, holder: object) -> None:
        self._holders.setdefault(namespace, WeakSet()).add(holder)

    async def release(self, namespace: str, holder: object) -> None:
        holders = self._holders.get(namespace, WeakSet())
        holders.discard(holder)
        if holders:
            return
        self._holders.pop(namespace, None)
        # Taken out before the first pause: who comes meanwhile begins anew.
        scopes = [scope for scope in self._informers if scope.namespace == namespace]
        informers = [self._informers.pop(scope).informer for scope in scopes]
        watch = self._event_watches.pop(namespace, None)
        async with AsyncExitStack() as stack:  # all of it even if the caller is cancelled
            for informer in informers:
                stack.push_async_callback(informer.close)
            if watch is not None:
                stack.push_async_callback(watch.close)

    async def informer(self, scope: _Scope, project: Project, index: Index, *, start: bool) -> Informer:
        if scope not in self._informers:
            informer = Informer(
                self.api,
                scope.resource,
                scope.namespace,
                label_selector=scope.label_selector,
                project=project,
                index=index,
                rng=self._rng,
            )
            self._informers[scope] = _Shared(informer, project, index)
        shared = self._informers[scope]
        if (shared.project, shared.index) != (project, index):
            raise ValueError(
                f"the informer of {shared.informer} is shared: pass the same projection and index"
            )
        if start:
            await shared.informer.start()
        return shared.informer

    def informers_of(self, resource: Resource) -> list[Informer]:
        return [shared.informer for scope, shared in self._informers.items() if scope.resource == resource]

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    def events(self, namespace: str) -> EventWatch:
        if namespace not in self._event_watches:
            self._event_watches[namespace] = EventWatch(self.api, namespace, rng=self._rng)
        return self._event_watches[namespace]

    async def close(self) -> None:
        async with AsyncExitStack() as stack:  # in reverse order, and all of it even if a part raises
            stack.push_async_callback(self._connection.close)
            for shared in self._informers.values():
                stack.push_async_callback(shared.informer.close)
            for watch in self._event_watches.values():
                stack.push_async_callback(watch.close)
            stack.push_async_callback(self.pending_deletes.close)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


_pools: "dict[asyncio.AbstractEventLoop, InformerPool]" = {}


class InformerPool:
    """Owns everything for one event loop. ``await close()`` ends all of it."""

    def __init__(self, *, rng: Rng = random.random) -> None:
        self._rng = rng
        self._clusters: dict[ConnectionSettings, asyncio.Task[_Cluster]] = {}
        self._library: dict[ConnectionSettings, LibraryClient] = {}

    @classmethod
    def for_current_loop(cls) -> "InformerPool":
        """Return the pool of the running loop, always the same one."""
        for loop in [loop for loop in _pools if loop.is_closed()]:
            del _pools[loop]  # its tasks ended with the loop
        loop = asyncio.get_running_loop()
        if loop not in _pools:
            _pools[loop] = cls()
        return _pools[loop]

    async def api(self, settings: ConnectionSettings) -> KubeApi:
        """Return the API on the shared connection. After a `ConfigurationError`, the next call tries again."""
        return (await self._cluster(settings)).api

    async def informer(
        self,
        settings: ConnectionSettings,
        resource: Resource,
        namespace: str | None,
        *,
        label_selector: str = "",
        project: Project,
        index: Index = no_index,
        start: bool = True,
    ) -> Informer:
        """Return the shared informer, started. Await its `wait_synced` before you treat a missing object as gone.

        With ``start=False`` it may not run yet. All callers must pass the same ``project`` and ``index``; otherwise it
        raises ValueError.
        """
        scope = _Scope(resource, namespace, label_selector)
        return await (await self._cluster(settings)).informer(scope, project, index, start=start)

    async def informers_of(self, settings: ConnectionSettings, resource: Resource) -> list[Informer]:
        """Return the informers of this resource that there are now, of all namespaces."""
        return (await self._cluster(settings)).informers_of(resource)

    async def run(self, settings: ConnectionSettings, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run the work in a task of its own, which `close` ends."""
        (await self._cluster(settings)).run(work, name)

    async def events(self, settings: ConnectionSettings, namespace: str) -> EventWatch:
        """Return the namespace's shared event watch."""
        return (await self._cluster(settings)).events(namespace)

    async def hold(self, settings: ConnectionSettings, namespace: str, holder: object) -> None:
        """Keep the namespace's informers and event watch until the holder releases them, or is garbage-collected."""
        (await self._cluster(settings)).hold(namespace, holder)

    async def release(self, settings: ConnectionSettings, namespace: str, holder: object) -> None:
        """End the namespace's informers and event watch if there is no other holder."""
        if settings in self._clusters:
            await (await self._cluster(settings)).release(namespace, holder)

    async def late_creates(self, settings: ConnectionSettings) -> LateCreates:
        """Return the creates without a reply of the cluster."""
        return (await self._cluster(settings)).late_creates

    async def turnstile(self, settings: ConnectionSettings) -> Turnstile:
        """Return what spreads much work over iterations of the loop."""
        return (await self._cluster(settings)).turnstile

    async def pending_deletes(self, settings: ConnectionSettings) -> PendingDeletes:
        """Return the pending deletes of the cluster."""
        return (await self._cluster(settings)).pending_deletes

    def library(self, settings: ConnectionSettings) -> LibraryClient:
        """Return the client library's shared client, for code that uses its API classes."""
        if settings not in self._library:
            self._library[settings] = LibraryClient(settings)
        return self._library[settings]

    async def close(self) -> None:
        """End all tasks and connections. The pool can then be used again from scratch."""
        opening = dict(self._clusters)
        async with AsyncExitStack() as stack:  # in reverse order, and all of it even if a part raises
            # Forgotten last: the work that has to end must not open another connection meanwhile.
            for settings, task in opening.items():
                stack.callback(self._forget, settings, task)
                task.cancel()
            for client in self._library.values():
                stack.push_async_callback(client.close)
            self._library.clear()
            for opened in await asyncio.gather(*opening.values(), return_exceptions=True):
                if isinstance(opened, _Cluster):
                    stack.push_async_callback(opened.close)

    async def _cluster(self, settings: ConnectionSettings) -> _Cluster:
        task = self._clusters.get(settings)
        if task is None:
            task = self._clusters[settings] = asyncio.create_task(
                self._open(settings), name="open the connection to the cluster"
            )
            task.add_done_callback(lambda task: self._forget_failure(settings, task))
        return task.result() if task.done() else await asyncio.shield(task)

    async def _open(self, settings: ConnectionSettings) -> _Cluster:
        connection = await Connection.open(settings)
        # The hub is loaded, and the first list is about to come.
        freeze_gc_baseline()
        return _Cluster(connection, self._rng)

    def _forget_failure(self, settings: ConnectionSettings, task: asyncio.Task[_Cluster]) -> None:
        # Asking for the exception also marks it as seen: all who waited may have been cancelled.
        if task.cancelled() or task.exception():
            self._forget(settings, task)

    def _forget(self, settings: ConnectionSettings, task: asyncio.Task[_Cluster]) -> None:
        if self._clusters.get(settings) is task:
            del self._clusters[settings]
