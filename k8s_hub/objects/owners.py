"""Owner references: whom an object follows when its owner is deleted."""

from typing import Any

from k8s_hub.objects.keys import key_of, metadata_of, uid_of
from k8s_hub.objects.raw import Raw


def owner_uids(obj: Raw) -> frozenset[str]:
    """Return the uids of all owners; an object without owners follows nobody."""
    return frozenset(reference["uid"] for reference in metadata_of(obj).get("ownerReferences") or ())


def reference_to_pod(pod: Raw) -> dict[str, Any]:
    """Return the reference by which an object follows this pod.

    It does not block the pod's deletion: to ask for that needs a right that hubs do not have on some clusters.
    """
    return {"apiVersion": "v1", "kind": "Pod", "name": key_of(pod).name, "uid": uid_of(pod)}


def owned_by(obj: Raw, reference: Raw) -> dict[str, Any]:
    """Return the object with this owner and no other; the object given stays as it is."""
    return {**obj, "metadata": {**metadata_of(obj), "ownerReferences": [reference]}}
