"""Which object is it? Its key, its uid, its labels and annotations, and whether it is being deleted.

These functions take what an API server may send: what has another type than Kubernetes promises counts as missing.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from k8s_hub.objects.raw import Raw


class Key(NamedTuple):
    """Namespace and name: what an object is called, for as long as one of that name exists."""

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
    """Return what tells this object from a later one of the same name; empty before it was created."""
    return _text(metadata_of(obj).get("uid"))


def version_of(obj: Raw) -> str:
    """Return the resource version: what a watch resumes from; empty before the object was created."""
    return _text(metadata_of(obj).get("resourceVersion"))


def labels_of(obj: Raw) -> Mapping[str, str]:
    """Return the labels, also of an object whose ``labels`` are missing or null."""
    return _mapping(metadata_of(obj).get("labels"))


def annotations_of(obj: Raw) -> Mapping[str, str]:
    """Return the annotations, also of an object whose ``annotations`` are missing or null."""
    return _mapping(metadata_of(obj).get("annotations"))


def is_dying(obj: Raw) -> bool:
    """True once anybody asked for the deletion; the object stays until its finalizers are done."""
    return metadata_of(obj).get("deletionTimestamp") is not None


def oddity_of(obj: object) -> str:
    """Return why this is no object that an API server can have stored, as the end of a sentence; "" for one that is."""
    if not isinstance(obj, _MAPPINGS):
        return "it is not a JSON object"
    metadata = _mapping(obj.get("metadata"))
    missing = [name for name in ("name", "uid", "resourceVersion") if not _text(metadata.get(name))]
    return f"it has no {' and no '.join(missing)}" if missing else ""


_MAPPINGS = (dict, Mapping)  # a dict is told in a tenth of the time that any other mapping takes


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, _MAPPINGS) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


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
