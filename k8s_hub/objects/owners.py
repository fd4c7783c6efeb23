"""Owner references: whom an object follows when its owner is deleted."""

from k8s_hub.objects.keys import metadata_of
from k8s_hub.objects.raw import Raw


def owner_uids(obj: Raw) -> frozenset[str]:
    """Return the uids of all owners; an object without owners follows nobody."""
    return frozenset(reference["uid"] for reference in metadata_of(obj).get("ownerReferences") or ())
