"""What is read of claims: whose they are, and whether one is to grow."""

from collections.abc import Hashable, Iterable
from typing import Protocol

from k8s_hub.naming.ownership import SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects import quantities
from k8s_hub.objects.keys import Key, annotations_of, is_dying
from k8s_hub.objects.raw import Raw


class ClaimLookup(Protocol):
    """What the choice of a home asks. The view of a claim informer indexed by ``usernames_of`` fits."""

    def get(self, key: Key, /) -> Raw | None:
        """Return the claim of that name."""

    def find(self, value: Hashable, /) -> Iterable[Raw]:
        """Return the claims that are annotated for the user of that name, in any namespace."""


def username_of(claim: Raw) -> str | None:
    """Return the user the claim is annotated for; None if it is annotated for nobody."""
    return annotations_of(claim).get(USERNAME_ANNOTATION)


def servername_of(claim: Raw) -> str:
    """Return the server the claim is annotated for; empty for the default server."""
    return annotations_of(claim).get(SERVERNAME_ANNOTATION, "")


def usernames_of(claim: Raw) -> tuple[str, ...]:
    """Return what an index of claims files this one under."""
    username = username_of(claim)
    return () if username is None else (username,)


def missing_growth(claim: Raw, capacity: str | None) -> str | None:
    """Return the size to ask for; None if the claim is large enough, or cannot grow now.

    The API server changes the size of a claim only while it has a volume. ``capacity`` None asks for nothing.
    """
    asked = ((claim.get("spec") or {}).get("resources") or {}).get("requests", {}).get("storage")
    is_bound = (claim.get("status") or {}).get("phase") == "Bound"
    if capacity is None or asked is None or not is_bound or is_dying(claim):
        return None
    return capacity if quantities.parse(capacity) > quantities.parse(asked) else None
