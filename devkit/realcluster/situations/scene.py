"""One situation's stage: a namespace of its own on the control plane, and what was seen there."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from devkit.realcluster.api import Api, RefusedError, wait_for
from devkit.realcluster.controlplane import ControlPlane
from devkit.realcluster.nodes import UNPLAYED_NODE, UNPLAYED_TAINT

Raw = Mapping[str, Any]
POD, CLAIM = "jupyter-alice", "claim-alice"
TOLERATES_TAINT = [{"key": UNPLAYED_TAINT, "operator": "Exists"}]
IMAGE = "registry.example.test/notebook:1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A namespace and the usual acts in it; everything is named as a hub names alice's server."""

    plane: ControlPlane
    namespace: str

    @property
    def admin(self) -> Api:
        return self.plane.admin

    @property
    def core(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"

    def create_pod(self, name: str = POD, **spec: Any) -> dict[str, Any]:
        return self.admin.create(f"{self.core}/pods", pod(name, **spec))

    def create_unplayed_pod(self, name: str = POD, **spec: Any) -> dict[str, Any]:
        """A pod that the scheduler has put on the node without a kubelet."""
        place = {"nodeSelector": {"kubernetes.io/hostname": UNPLAYED_NODE}, "tolerations": TOLERATES_TAINT}
        self.create_pod(name, **place | spec)
        wait_for(lambda: self.pod(name)["spec"].get("nodeName"), f"{name} scheduled")
        self.wait_for_event("Scheduled")
        return self.pod(name)

    def remove_at_once(self, name: str = POD) -> None:
        self.admin.delete(f"{self.core}/pods/{name}", {"gracePeriodSeconds": 0})

    def create_claim(self, name: str = CLAIM, **spec: Any) -> dict[str, Any]:
        return self.admin.create(f"{self.core}/persistentvolumeclaims", claim(name, **spec))

    def clear(self) -> None:
        """Remove all pods at once, so that they take no room from the next scene."""
        self.admin.delete(f"{self.core}/pods", {"gracePeriodSeconds": 0})

    def pod(self, name: str = POD) -> dict[str, Any]:
        return self.admin.get(f"{self.core}/pods/{name}")

    def claim(self, name: str = CLAIM) -> dict[str, Any]:
        return self.admin.get(f"{self.core}/persistentvolumeclaims/{name}")

    def events(self) -> list[Any]:
        """The namespace's events, oldest first."""
        found: list[Any] = self.admin.get(f"{self.core}/events")["items"]
        return sorted(found, key=lambda event: int(event["metadata"]["resourceVersion"]))

    def wait_for_event(self, reason: str, text: str = "") -> None:
        def is_there() -> bool:
            return any(event["reason"] == reason and text in event["message"] for event in self.events())

        wait_for(is_there, f"event {reason} {text!r} in {self.namespace}")

    def wait_for_claim(self, phase: str) -> None:
        wait_for(lambda: self.claim()["status"]["phase"] == phase, f"claim {phase} in {self.namespace}")

    def seen(self) -> dict[str, Any]:
        """What a hub could read: alice's pod and claim as far as they exist, and all events."""
        found: dict[str, Any] = {}
        for kind, ask in (("pod", self.pod), ("claim", self.claim)):
            try:
                found[kind] = ask()
            except RefusedError as refused:
                if refused.code != 404:
                    raise
        return found | {"events": self.events()}


def pod(name: str = POD, *, labels: Raw | None = None, **spec: Any) -> dict[str, Any]:
    """A pod as small as can be, with fields of its spec added or replaced."""
    minimal: dict[str, Any] = {"containers": [container()], "terminationGracePeriodSeconds": 30}
    metadata = {"name": name, "labels": {"component": "singleuser-server", **(labels or {})}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": minimal | spec}


def container(**fields: Any) -> dict[str, Any]:
    return {"name": "notebook", "image": IMAGE} | fields


def resources(*, limits: Raw | None = None, **requests: str) -> dict[str, Any]:
    """Containers that ask for resources."""
    wanted: dict[str, Any] = {"requests": requests}
    return {"containers": [container(resources=wanted | ({"limits": limits} if limits else {}))]}


def with_claim(name: str = CLAIM) -> dict[str, Any]:
    """Spec fields of a pod whose home is a claim."""
    return {
        "containers": [container(volumeMounts=[{"name": "home", "mountPath": "/home/jovyan"}])],
        "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": name}}],
    }


def claim(name: str = CLAIM, **spec: Any) -> dict[str, Any]:
    minimal = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": minimal | spec,
    }


def refusal(request: Callable[[], object]) -> dict[str, Any]:
    """The Status of a request that has to be refused."""
    try:
        request()
    except RefusedError as refused:
        return {"status": dict(refused.status)}
    raise AssertionError("the server accepted what it has to refuse")


def stripped(thing: Raw) -> dict[str, Any]:
    """A deep copy without managedFields, which say nothing here and fill pages."""
    copied = copy.deepcopy(dict(thing))
    for value in copied.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                one.get("metadata", {}).pop("managedFields", None)
    return copied
