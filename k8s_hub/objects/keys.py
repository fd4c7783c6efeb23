"""Which object is it? Its key, its uid, its labels and annotations, and whether it is being deleted."""

from collections.abc import Mapping
from typing import NamedTuple

from k8s_hub.objects.raw import Raw


class Key(NamedTuple):
    """Namespace and name: what an object is called, for as long as one of that name exists."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def metadata_of(obj: Raw) -> Raw:
    """Return the object's metadata, empty if it has none."""
    metadata: Raw = obj.get("metadata") or {}
    return metadata


def key_of(obj: Raw) -> Key:
    """Return the object's key; the namespace of a cluster-scoped object is empty."""
    metadata = metadata_of(obj)
    return Key(metadata.get("namespace") or "", metadata.get("name") or "")


def uid_of(obj: Raw) -> str:
    """Return what tells this object from a later one of the same name; empty before it was created."""
    return str(metadata_of(obj).get("uid") or "")


def version_of(obj: Raw) -> str:
    """Return the resource version: what a watch resumes from; empty before the object was created."""
    return str(metadata_of(obj).get("resourceVersion") or "")


def labels_of(obj: Raw) -> Mapping[str, str]:
    """Return the labels, also of an object whose ``labels`` are missing or null."""
    labels: Mapping[str, str] = metadata_of(obj).get("labels") or {}
    return labels


def annotations_of(obj: Raw) -> Mapping[str, str]:
    """Return the annotations, also of an object whose ``annotations`` are missing or null."""
    annotations: Mapping[str, str] = metadata_of(obj).get("annotations") or {}
    return annotations


def is_dying(obj: Raw) -> bool:
    """True once anybody asked for the deletion; the object stays until its finalizers are done."""
    return metadata_of(obj).get("deletionTimestamp") is not None
