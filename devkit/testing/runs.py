"""Runs one server like a hub, but without a hub: one spawner per run, and the hub's order of calls.

Like JupyterHub's user.py, it has a database row without an address before start() and with it afterwards, calls stop() only
if poll() is None, and makes a new spawner from the saved state for the next run.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jupyterhub import orm
from jupyterhub.utils import format_exception

from devkit.minicluster.cluster import MiniCluster
from devkit.minicluster.faults import Call, FaultRule
from devkit.minicluster.resources import CLAIMS, PODS
from devkit.testing.bare import bare_spawner
from devkit.testing.realhub import RealHub
from k8s_hub import KubeSpawner
from k8s_hub.kube.pool import InformerPool
from k8s_hub.naming.ownership import SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import Key, annotations_of
from k8s_hub.objects.raw import Raw

NAMESPACE = "default"

NO_WAIT = {"tornado_settings": {"slow_spawn_timeout": 0}}
"""Settings of a hub that answers a request for a server at once, so that a test can watch the start."""

HOME: dict[str, Any] = {
    "storage_pvc_ensure": True,
    "storage_capacity": "1Gi",
    "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}],
    "volume_mounts": [{"name": "home", "mountPath": "/home/jovyan"}],
}


@asynccontextmanager
async def listening_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MiniCluster]:
    """Run a mini cluster with listener pods; KUBECONFIG points to it."""
    async with MiniCluster(directory=folder / "cluster", runtime="listener") as cluster:
        cluster.write_kubeconfig(folder / "kubeconfig")
        monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        yield cluster
        await InformerPool.for_current_loop().close()


class Run:
    """One run of one server: one spawner, called in the hub's order."""

    def __init__(
        self, username: str = "ada", servername: str = "", *, state: Raw | None = None, **traits: Any
    ) -> None:
        spawner = bare_spawner(username, servername, namespace=NAMESPACE, **{**HOME, **traits})
        spawner.load_state(dict(state or {}))
        self.spawner: KubeSpawner = spawner
        self.state: Raw = state or {}

    async def start(self) -> str:
        """Start, with the hub's own deadline, which raises a TimeoutError without a message."""
        url = await asyncio.wait_for(self.starting(), self.spawner.start_timeout)
        self.is_at(url)
        self.state = self.spawner.get_state()
        return url

    def starting(self) -> Coroutine[Any, Any, str]:
        """Return the coroutine of the start, prepared like in the hub."""
        self.has_row()
        self.spawner.clear_state()
        return self.spawner.start()

    def has_row(self, ip: str = "", port: int = 45678) -> None:
        """Create the server's row in the database, without an address until start() returns."""
        base_url = f"/user/{self.spawner.user.name}/"
        # What the database would fill in is filled in here.
        self.spawner.orm_spawner.server = orm.Server(
            proto="http", ip=ip, port=port, base_url=base_url, cookie_name="server"
        )

    def is_at(self, url: str) -> None:
        """Set the address in the row, like the hub."""
        host, _, port = url.removeprefix("http://").partition(":")
        self.has_row(host, int(port))

    async def stop(self) -> None:
        """Stop like the hub: poll first, and do nothing after an exit code."""
        if await self.spawner.poll() is None:
            await self.spawner.stop()
        self.spawner.orm_spawner.server = None
        self.spawner.clear_state()
        self.state = self.spawner.get_state()

    def next(self, **traits: Any) -> "Run":
        """Return the next run, also after a restart of the hub during this one."""
        return Run(self.spawner.user.name, self.spawner.name, state=self.state, **traits)


async def restart_process() -> None:
    """Drop everything that a hub's process has in memory: views, connections, pending deletes."""
    await InformerPool.for_current_loop().close()


def pods(cluster: MiniCluster) -> list[Raw]:
    """Return the pods that exist."""
    return list(cluster.database.all(PODS, NAMESPACE))


def claims(cluster: MiniCluster) -> list[Raw]:
    """Return the claims that exist."""
    return list(cluster.database.all(CLAIMS, NAMESPACE))


def plant_pod(
    cluster: MiniCluster, name: str = "jupyter-ada", *, username: str | None = "ada", **metadata: Any
) -> Raw:
    """Create a pod of another spawner, e.g. KubeSpawner's, even while the API is away."""
    annotations = {} if username is None else {USERNAME_ANNOTATION: username, SERVERNAME_ANNOTATION: ""}
    labels = {"component": "singleuser-server", **metadata.pop("labels", {})}
    ports = [{"name": "notebook-port", "containerPort": 8888}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": labels,
            "annotations": annotations,
            **metadata,
        },
        "spec": {
            "restartPolicy": "OnFailure",
            "containers": [{"name": "notebook", "image": "singleuser", "ports": ports}],
        },
        "status": {"phase": "Pending"},
    }
    return cluster.database.create(PODS, pod).obj


def edit_pod(cluster: MiniCluster, name: str = "jupyter-ada", **metadata: Any) -> None:
    """Change a pod's metadata without a request."""
    cluster.database.update(
        PODS, Key(NAMESPACE, name), lambda pod: {**pod, "metadata": {**pod["metadata"], **metadata}}
    )


def mark_of(pod: Raw) -> str | None:
    """Return the attempt id of the pod's start; None for a pod of KubeSpawner."""
    return annotations_of(pod).get("hub.jupyter.org/start-attempt")


class CallRecorder(FaultRule):
    """A fault rule without an effect that records each call that no earlier rule matches."""

    def __init__(self) -> None:
        super().__init__(effect=None)  # type: ignore[arg-type]
        object.__setattr__(self, "calls", [])

    def matches(self, call: Call) -> bool:
        self.calls.append(call)
        return False


class ReplaceClaim(FaultRule):
    """A fault rule that replaces the claim by another one of its name right before a delete."""

    def __init__(self, cluster: MiniCluster) -> None:
        super().__init__(effect=None)  # type: ignore[arg-type]
        object.__setattr__(self, "cluster", cluster)

    def matches(self, call: Call) -> bool:
        if (call.verb, call.resource) == ("delete", "persistentvolumeclaims"):
            database = self.cluster.database  # type: ignore[attr-defined]
            claim = database.remove(CLAIMS, Key(call.namespace, call.name))
            own = {name: claim["metadata"][name] for name in ("name", "namespace", "labels", "annotations")}
            database.create(CLAIMS, {**claim, "metadata": own})
        return False


@contextmanager
def struck(
    cluster: MiniCluster, effect: Any, verb: str = "*", resource: str = "pods", **which: Any
) -> Iterator[Any]:
    """Plant a fault for the context."""
    rule = cluster.faults.add(FaultRule(effect=effect, verb=verb, resource=resource, **which))
    try:
        yield rule
    finally:
        cluster.faults.remove(rule)


def takes(cluster: MiniCluster, **seconds: float) -> None:
    """Set the node's latencies, in seconds: schedule, pull, start or stop."""
    settings = cluster.kubelet.settings
    cluster.kubelet.settings = replace(settings, latencies=replace(settings.latencies, **seconds))


async def failed_start(hub: RealHub, user: str = "ada", options: Any = None) -> BaseException:
    """Start a server that must fail, in a hub that waits for it; return the error."""
    await hub.start_server(user, options=options)
    spawn = hub.spawner(user)._spawn_future
    await asyncio.wait([spawn])
    return spawn.exception()


async def sentences(run: Run) -> list[str]:
    """Return the messages that the user of a finished start has read."""
    return [event["message"] async for event in run.spawner.progress()]


def sentence_of(error: BaseException) -> str:
    """Return the message on the failed start's page."""
    text, _html = format_exception(error)
    return text
