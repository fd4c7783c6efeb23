"""The mini cluster: its parts, its start and its end."""

import asyncio
import json
import secrets
import shutil
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Self, TypeAlias

from devkit.minicluster.admission import admit
from devkit.minicluster.controllers import (
    ClaimBinder,
    ClaimProtection,
    Controllers,
    NamespaceEnder,
    OwnerCollector,
)
from devkit.minicluster.database import Database
from devkit.minicluster.disk import DirectoryLock, ObjectFiles, write_atomically
from devkit.minicluster.errors import PlatformError
from devkit.minicluster.faults import Faults
from devkit.minicluster.kubelet import BackOff, Kubelet, Latencies, NodeSettings
from devkit.minicluster.listener import Listener, ListenerRuntime
from devkit.minicluster.node import Node
from devkit.minicluster.process import ProcessRuntime
from devkit.minicluster.recorder import Recorder
from devkit.minicluster.resources import NAMESPACES
from devkit.minicluster.runtime import Container, Runtime
from devkit.minicluster.serving import Api, Settings
from devkit.minicluster.volumes import Volumes
from k8s_hub.clock import utcnow
from k8s_hub.objects.keys import Key

#: "none": pods stay Pending, and tests write their status.
RuntimeChoice: TypeAlias = Literal["process", "listener", "none"] | Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """Options of a cluster. Times are in seconds of loop time."""

    #: None: random.
    token: str | None = None
    #: 0: any free port.
    port: int = 0
    host: str = "127.0.0.1"
    #: Initial namespaces.
    namespaces: tuple[str, ...] = ("default",)
    node: Node = field(default_factory=Node)
    #: Images that exist; None: all but the missing ones.
    known_images: frozenset[str] | None = None
    missing_images: frozenset[str] = frozenset()
    #: Storage classes that provide volumes; "" stands for claims without a class. None: all.
    storage_classes: frozenset[str] | None = frozenset({"standard", ""})
    #: The default class.
    default_storage_class: str = "standard"
    latencies: Latencies = field(default_factory=Latencies)
    back_off: BackOff = field(default_factory=BackOff)
    bookmark_seconds: float = 60.0
    #: The length of the history per kind.
    history_limit: int = 10_000
    now: Callable[[], datetime] = utcnow


class MiniCluster:
    """A Kubernetes API and one node in the running event loop, from ``async with`` to its end.

    Claims and namespaces survive in the directory, pods do not. One cluster per directory.
    """

    database: Database
    faults: Faults
    kubelet: Kubelet
    volumes: Volumes

    def __init__(
        self, *, directory: Path, runtime: RuntimeChoice = "listener", options: ClusterOptions | None = None
    ) -> None:
        self.directory = directory
        self.options = options or ClusterOptions()
        self.token = self.options.token or secrets.token_urlsafe(24)
        self._runtime = runtime
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start all parts. If one fails, stop the others."""
        if sys.platform != "linux":
            raise PlatformError(f"The mini cluster needs Linux (an address per pod); this is {sys.platform}.")
        async with AsyncExitStack() as stack:
            stack.enter_context(DirectoryLock(self.directory))
            self._build()
            ready = asyncio.Event()
            self._running = asyncio.create_task(self._run(ready))
            stack.push_async_callback(_end, self._running)
            await ready.wait()
            await self._listener.open()
            stack.push_async_callback(self._listener.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the API, then all pods, and wait for the end of their containers."""
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """The API's URL."""
        return f"http://{self.options.host}:{self._listener.port}"

    def write_kubeconfig(self, path: Path) -> None:
        """Write a kubeconfig with mode 0600."""
        cluster, user = {"server": self.url}, {"token": self.token}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "mini", "cluster": cluster}],
            "users": [{"name": "mini", "user": user}],
            "contexts": [
                {"name": "mini", "context": {"cluster": "mini", "user": "mini", "namespace": "default"}}
            ],
            "current-context": "mini",
        }
        # JSON is YAML.
        write_atomically(path, json.dumps(content, indent=2).encode() + b"\n")

    async def go_away(self) -> None:
        """Refuse and reset all connections, as if the API server were down. Pods keep running."""
        await self._listener.close()

    async def come_back(self) -> None:
        """Serve again, on the same port."""
        await self._listener.open()

    def compact(self) -> None:
        """Drop the history: watches from an earlier version get 410."""
        self.database.compact()

    def container(self, namespace: str, name: str) -> Container | None:
        """Return the pod's running container, so that a test can end it; None without one."""
        return self.kubelet.container(Key(namespace, name))

    def claim_directory(self, namespace: str, name: str) -> Path:
        """Return the directory of the claim's files."""
        return self.volumes.path(Key(namespace, name))

    async def wait_broken(self) -> None:
        """Wait forever; raise the error that breaks the cluster."""
        await asyncio.shield(self._running)

    def _build(self) -> None:
        options = self.options
        shutil.rmtree(self.directory / "pods", ignore_errors=True)
        self.database = Database(
            now=options.now,
            files=ObjectFiles(self.directory / "objects"),
            history_limit=options.history_limit,
        )
        for name in options.namespaces:
            _ensure_namespace(self.database, name)
        self.faults = Faults(self.database.wake_watches)
        self.volumes = Volumes(self.directory, options.storage_classes)
        recorder = Recorder(self.database, options.now)
        self._controllers = Controllers(
            self.database,
            (
                ClaimBinder(self.database, recorder, self.volumes),
                ClaimProtection(self.database, self.volumes),
                OwnerCollector(self.database, options.now),
                NamespaceEnder(self.database, options.now),
            ),
        )
        self.kubelet = Kubelet(
            self.database,
            recorder,
            NodeSettings(
                node=options.node,
                runtime=_runtime(self._runtime),
                known_images=options.known_images,
                missing_images=options.missing_images,
                latencies=options.latencies,
                back_off=options.back_off,
                volumes=self.volumes,
                directory=self.directory,
                now=options.now,
            ),
        )

    async def _run(self, ready: asyncio.Event) -> None:
        """Run every task of the cluster until it is cancelled, or until one fails."""
        async with asyncio.TaskGroup() as tasks:
            self._listener = Listener(self._api(tasks).handle, self.options.host, self.options.port)
            tasks.create_task(self._controllers.run())
            if self._runtime != "none":
                tasks.create_task(self.kubelet.run())
            ready.set()

    def _api(self, tasks: asyncio.TaskGroup) -> Api:
        settings = Settings(
            token=self.token,
            now=self.options.now,
            bookmark_seconds=self.options.bookmark_seconds,
            default_storage_class=self.options.default_storage_class,
            spawn=tasks.create_task,
        )
        return Api(self.database, self.faults, settings)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _ensure_namespace(database: Database, name: str) -> None:
    if database.get(NAMESPACES, Key("", name)) is None:
        database.create(NAMESPACES, admit(NAMESPACES, None, {"metadata": {"name": name}}, ""))


def _runtime(choice: RuntimeChoice) -> Runtime:
    match choice:
        case "listener" | "none":
            return ListenerRuntime()
        case "process":
            return ProcessRuntime.detect()
        case str():
            raise ValueError(f"there is no runtime {choice!r}: process, listener or none")
        case runtime:
            return runtime
