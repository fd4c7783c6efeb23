"""Reads claims: their owners, and whether one must grow."""

from collections.abc import Hashable, Iterable
from typing import Protocol

from k8s_hub.naming.ownership import SERVERNAME_ANNOTATION, USERNAME_ANNOTATION, user_id_of
from k8s_hub.objects import quantities
from k8s_hub.objects.keys import Key, annotations_of, is_terminating, phase_of, spec_of
from k8s_hub.objects.raw import Raw


class ClaimLookup(Protocol):
    """The lookups that `choose_home` needs, such as the view of a claim informer with the index ``owners_of``."""

    def get(self, key: Key, /) -> Raw | None:
        """Return the claim of that name."""

    def find(self, value: Hashable, /) -> Iterable[Raw]:
        """Return the claims whose annotations have this user's name or number, in any namespace."""


def username_of(claim: Raw) -> str | None:
    """Return the user that the claim's annotation names; None without the annotation."""
    return annotations_of(claim).get(USERNAME_ANNOTATION)


def servername_of(claim: Raw) -> str:
    """Return the server that the claim's annotation names; empty for the default server."""
    return annotations_of(claim).get(SERVERNAME_ANNOTATION, "")


def owners_of(claim: Raw) -> tuple[Hashable, ...]:
    """Return the values of the claim in an index by user: the user's name at its creation, and their number."""
    username, user_id = username_of(claim), user_id_of(claim)
    return tuple(each for each in (username, None if user_id is None else user_id.number) if each is not None)


def missing_growth(claim: Raw, capacity: str | None) -> str | None:
    """Return the size to request; None if the claim is large enough, or cannot grow now.

    The API server resizes a claim only while it is bound. ``capacity`` None requests nothing.
    """
    asked = (spec_of(claim).get("resources") or {}).get("requests", {}).get("storage")
    is_bound = phase_of(claim) == "Bound"
    if capacity is None or asked is None or not is_bound or is_terminating(claim):
        return None
    return capacity if quantities.parse(capacity) > quantities.parse(asked) else None
