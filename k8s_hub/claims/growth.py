"""Should a claim be larger? Only if more is configured than it asks for: a claim never shrinks."""

from k8s_hub.objects import quantities
from k8s_hub.objects.keys import is_dying
from k8s_hub.objects.raw import Raw


def missing_growth(claim: Raw, capacity: str | None) -> str | None:
    """Return the size to ask for; None if the claim is large enough, or cannot grow now.

    The API server changes the size of a claim only while it has a volume. ``capacity`` None asks for nothing.
    """
    asked = ((claim.get("spec") or {}).get("resources") or {}).get("requests", {}).get("storage")
    is_bound = (claim.get("status") or {}).get("phase") == "Bound"
    if capacity is None or asked is None or not is_bound or is_dying(claim):
        return None
    return capacity if quantities.parse(capacity) > quantities.parse(asked) else None
