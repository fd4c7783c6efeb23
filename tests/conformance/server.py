"""The server under test, whichever it is, and the objects that the suite makes on it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.conformance.client import Client, Raw

UNPLACEABLE = {"nodeSelector": {"k8s-hub.test/nowhere": "true"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A Kubernetes API with an empty namespace for this test."""

    client: Client
    namespace: str
    #: Makes every version up to now too old to resume from.
    forget_history: Callable[[], Awaitable[None]]

    @property
    def core(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"

    def path(self, plural: str, name: str | None = None) -> str:
        return f"{self.core}/{plural}/{name}" if name else f"{self.core}/{plural}"

    async def create(self, plural: str, body: Raw) -> Raw:
        return await self.client.create(self.path(plural), body)

    async def list(self, plural: str, **parameters: str) -> Raw:
        return await self.client.get(self.path(plural), **parameters)

    async def version(self, plural: str = "pods") -> str:
        """The resource version to watch from, to see only what happens from now on."""
        return str((await self.list(plural))["metadata"]["resourceVersion"])

    async def running_pod(self, name: str, **spec: Any) -> Raw:
        """A new pod, once it runs."""
        await self.create("pods", pod(name, **spec))
        path = self.path("pods", name)
        return await self.client.eventually(path, lambda found: found["status"]["phase"] == "Running")

    async def waiting_pod(self, name: str, labels: Mapping[str, str] | None = None) -> Raw:
        """A new pod that no node takes: nothing changes it once the scheduler has said so."""
        await self.create("pods", pod(name, labels, **UNPLACEABLE))
        return await self.client.eventually(self.path("pods", name), is_unschedulable)


def is_unschedulable(found: Raw) -> bool:
    conditions = found["status"].get("conditions", ())
    return any(c["type"] == "PodScheduled" and c.get("reason") == "Unschedulable" for c in conditions)


def pod(name: str, labels: Mapping[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    container = {"name": "notebook", "image": "registry.example.test/notebook:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {"containers": [container], **spec},
    }


def claim(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def using(claim_name: str) -> dict[str, Any]:
    """Spec fields of a pod with a claim."""
    return {"volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": claim_name}}]}


def secret(name: str, labels: Mapping[str, str] | None = None, owner: Raw | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "labels": dict(labels or {})}
    if owner:
        metadata["ownerReferences"] = [reference_to(owner)]
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": "example"}}


def service(name: str, owner: Raw | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if owner:
        metadata["ownerReferences"] = [reference_to(owner)]
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 8888}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def reference_to(owner: Raw) -> dict[str, Any]:
    """An owner reference to a pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }


def names(listing: Raw) -> list[str]:
    return [item["metadata"]["name"] for item in listing["items"]]


def version_of(obj: Raw) -> int:
    return int(obj["metadata"]["resourceVersion"])


def shown(events: list[Raw]) -> list[tuple[str, str]]:
    """Type and object name of watch events."""
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]
