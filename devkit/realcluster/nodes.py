"""The nodes of a control plane without kubelets: kwok simulates all of them but one."""

from collections.abc import Iterable
from typing import Any

from devkit.realcluster.api import Api

KWOK_SELECTOR = "kwok.x-k8s.io/node=fake"
UNPLAYED_NODE = "unplayed"
UNPLAYED_TAINT = "k8s-hub.test/unplayed"


def make_nodes(admin: Api, count: int, *, prefix: str = "kwok") -> list[str]:
    """Add nodes on which kwok sets pods to Running, each with its own loopback address."""
    names = [f"{prefix}-{number}" for number in range(count)]
    for name in names:
        admin.create("/api/v1/nodes", _node(name, annotations=dict([KWOK_SELECTOR.split("=")])))
    return names


def make_unplayed_node(admin: Api) -> str:
    """Add a ready node without a kubelet: only the test changes the status of its pods."""
    taint = {"key": UNPLAYED_TAINT, "value": "true", "effect": "NoSchedule"}
    node = admin.create("/api/v1/nodes", _node(UNPLAYED_NODE, taints=[taint]))
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": node["metadata"]["creationTimestamp"],
        "lastTransitionTime": node["metadata"]["creationTimestamp"],
    }
    status = node["status"] | {"conditions": [ready]}
    admin.patch(f"/api/v1/nodes/{UNPLAYED_NODE}/status", {"status": status})
    return UNPLAYED_NODE


def are_usable(admin: Api) -> bool:
    """Return whether all nodes have lost the taint of new nodes."""
    taints = [t for node in admin.get("/api/v1/nodes")["items"] for t in node["spec"].get("taints", ())]
    return not any(taint["key"] == "node.kubernetes.io/not-ready" for taint in taints)


def _node(
    name: str, *, annotations: dict[str, str] | None = None, taints: Iterable[dict[str, str]] = ()
) -> dict[str, Any]:
    size = {"cpu": "64", "memory": "256Gi", "pods": "2000", "ephemeral-storage": "1Ti"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": annotations or {},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "spec": {"taints": list(taints)},
        "status": {"allocatable": size, "capacity": size},
    }
