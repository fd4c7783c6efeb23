"""Reads users' pods and claims from the Kubernetes API: the check does not rely on the hub."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devkit.demo.failure import DemoError
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.connection import Connection
from k8s_hub.kube.core.resources import CLAIMS, PODS, Resource
from k8s_hub.naming.ownership import SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import annotations_of, key_of, uid_of
from k8s_hub.objects.raw import Raw

LOOK_EVERY = 0.05  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One pod or claim and its owner; ``claims`` are the names that a pod mounts."""

    username: str
    servername: str
    name: str
    uid: str
    claims: frozenset[str]


class ClusterReader:
    """Reads the objects of certain users."""

    def __init__(self, api: KubeApi, namespace: str, usernames: frozenset[str]) -> None:
        self._api = api
        self._namespace = namespace
        self._usernames = usernames

    async def pods(self) -> frozenset[Snapshot]:
        """Return the users' pods."""
        return await self._seen(PODS)

    async def claims(self) -> frozenset[Snapshot]:
        """Return the users' claims."""
        return await self._seen(CLAIMS)

    async def wait_for_pods(
        self, condition: Callable[[frozenset[Snapshot]], bool], *, meaning: str, deadline: float
    ) -> frozenset[Snapshot]:
        """Return the pods once ``condition`` is true for them; raise DemoError with ``meaning`` after ``deadline`` seconds."""
        pods = await self.pods()
        try:
            async with asyncio.timeout(deadline):
                while not condition(pods):
                    await asyncio.sleep(LOOK_EVERY)
                    pods = await self.pods()
        except TimeoutError as error:
            names = ", ".join(sorted(pod.name for pod in pods)) or "none"
            raise DemoError(f"no {meaning} within {deadline:.0f} s; pods: {names}") from error
        return pods

    async def _seen(self, resource: Resource) -> frozenset[Snapshot]:
        pages = self._api.list_pages(resource, self._namespace)
        snapshots = [_snapshot(obj) async for page in pages for obj in page.items]
        return frozenset(snapshot for snapshot in snapshots if snapshot.username in self._usernames)


@asynccontextmanager
async def open_cluster_reader(
    kubeconfig: Path, namespace: str, usernames: frozenset[str]
) -> AsyncIterator[ClusterReader]:
    """Open a reader with its own connection."""
    connection = await Connection.open(ConnectionSettings(kubeconfig=str(kubeconfig)))
    try:
        yield ClusterReader(KubeApi(connection), namespace, usernames)
    finally:
        await connection.close()


def _snapshot(obj: Raw) -> Snapshot:
    annotations = annotations_of(obj)
    sources = [volume.get("persistentVolumeClaim") for volume in obj["spec"].get("volumes", ())]
    return Snapshot(
        username=annotations.get(USERNAME_ANNOTATION, ""),
        servername=annotations.get(SERVERNAME_ANNOTATION, ""),
        name=key_of(obj).name,
        uid=uid_of(obj),
        claims=frozenset(source["claimName"] for source in sources if source),
    )
