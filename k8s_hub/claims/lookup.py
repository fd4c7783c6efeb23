"""How claims are looked up: by name, and by the user they are annotated for."""

from collections.abc import Hashable, Iterable
from typing import Protocol

from k8s_hub.naming.ownership import SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import Key, annotations_of
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
