"""What every object has: key, uid, labels, annotations, owners, times, spec, status and phase.

These functions accept any JSON: a value of the wrong type counts as missing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from k8s_hub.objects import timestamps
from k8s_hub.objects.raw import Raw


class Key(NamedTuple):
    """Namespace and name. A later object may have the same key."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def metadata_of(obj: Raw) -> Raw:
    """Return the object's metadata, empty if it has none."""
    return _mapping(obj.get("metadata"))


def key_of(obj: Raw) -> Key:
    """Return the object's key; the namespace of a cluster-scoped object is empty."""
    metadata = metadata_of(obj)
    return Key(_text(metadata.get("namespace")), _text(metadata.get("name")))


def uid_of(obj: Raw) -> str:
    """Return the uid, which differs from that of a later object of the same name; empty before the create."""
    return _text(metadata_of(obj).get("uid"))


def version_of(obj: Raw) -> str:
    """Return the resourceVersion; empty before the create."""
    return _text(metadata_of(obj).get("resourceVersion"))


def labels_of(obj: Raw) -> Mapping[str, str]:
    """Return the labels, empty if they are missing or null."""
    return _mapping(metadata_of(obj).get("labels"))


def annotations_of(obj: Raw) -> Mapping[str, str]:
    """Return the annotations, empty if they are missing or null."""
    return _mapping(metadata_of(obj).get("annotations"))


def spec_of(obj: Raw) -> Raw:
    """Return the object's spec, empty if it has none."""
    return _mapping(obj.get("spec"))


def status_of(obj: Raw) -> Raw:
    """Return the object's status, empty if it has none."""
    return _mapping(obj.get("status"))


def phase_of(obj: Raw) -> str:
    """Return the phase of a pod, claim or namespace; empty before it has one."""
    return _text(status_of(obj).get("phase"))


def created_at(obj: Raw) -> datetime | None:
    """Return when the object was created; None before the create."""
    text = _text(metadata_of(obj).get("creationTimestamp"))
    return timestamps.parse(text) if text else None


def is_terminating(obj: Raw) -> bool:
    """True once the deletion was requested. The object stays until its grace period and finalizers are done."""
    return metadata_of(obj).get("deletionTimestamp") is not None


def oddity_of(obj: object) -> str:
    """Return why this cannot be an object that an API server stored, as a clause; "" if it can."""
    if not isinstance(obj, _MAPPINGS):
        return "it is not a JSON object"
    metadata = _mapping(obj.get("metadata"))
    missing = [name for name in ("name", "uid", "resourceVersion") if not _text(metadata.get(name))]
    return f"it has no {' and no '.join(missing)}" if missing else ""


_MAPPINGS = (dict, Mapping)  # dict first: that check is ten times as fast


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, _MAPPINGS) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def owner_uids(obj: Raw) -> frozenset[str]:
    """Return the uids of all owners, from the object's ownerReferences."""
    return frozenset(reference["uid"] for reference in metadata_of(obj).get("ownerReferences") or ())


def reference_to_pod(pod: Raw) -> dict[str, Any]:
    """Return an ownerReference to the pod: the garbage collector deletes the object after it.

    It does not block the pod's deletion: on some clusters that needs a right that hubs do not have.
    """
    return {"apiVersion": "v1", "kind": "Pod", "name": key_of(pod).name, "uid": uid_of(pod)}


def owned_by(obj: Raw, reference: Raw) -> dict[str, Any]:
    """Return a copy of the object with this owner only."""
    return {**obj, "metadata": {**metadata_of(obj), "ownerReferences": [reference]}}
