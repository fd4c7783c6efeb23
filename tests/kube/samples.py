"""Pods as the tests of this package make them."""

from devkit.minicluster import resources
from k8s_hub.objects.keys import Key, labels_of, uid_of

NAMESPACE = "hub"


def key(name: str = "ada") -> Key:
    return Key(NAMESPACE, name)


def pod(name: str = "ada", **labels: str):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "notebook", "image": "singleuser"}]},
    }


def project(raw):
    """Keep as little as a test needs."""
    return {
        "name": raw["metadata"]["name"],
        "uid": uid_of(raw),
        "owner": labels_of(raw).get("owner", ""),
        "phase": (raw.get("status") or {}).get("phase"),
    }


def plant(cluster, obj):
    """Create the pod without a request, also while the API is away."""
    stored = {**obj, "metadata": {**obj["metadata"], "namespace": NAMESPACE}, "status": {"phase": "Pending"}}
    return cluster.database.create(resources.PODS, stored).obj


def set_phase(cluster, name: str, phase: str) -> None:
    """Do what a kubelet does."""
    status = {"phase": phase}
    cluster.database.update(resources.PODS, key(name), lambda obj: {**obj, "status": status})


def remove(cluster, name: str) -> None:
    """Take the pod away at once."""
    cluster.database.remove(resources.PODS, key(name))


def is_running(kept) -> bool:
    return kept is not None and kept["phase"] == "Running"


def is_missing(kept) -> bool:
    return kept is None
