"""Owner references: whom an object follows when its owner is deleted."""

from typing import Any

from k8s_hub.objects.keys import metadata_of, uid_of
from k8s_hub.objects.raw import Raw


def owner_reference(owner: Raw) -> dict[str, Any]:
    """Return the reference that makes an object go with ``owner``, which exists already (it has a uid)."""
    if not uid_of(owner):
        raise ValueError(f"{metadata_of(owner).get('name')!r} has no uid yet, so nothing can be owned by it")
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata_of(owner)["name"],
        "uid": uid_of(owner),
    }


def owner_uids(obj: Raw) -> frozenset[str]:
    """Return the uids of all owners; an object without owners follows nobody."""
    return frozenset(reference["uid"] for reference in metadata_of(obj).get("ownerReferences") or ())
