"""May a claim be deleted? Only if it is certain whose it is and that nobody else uses it.

Whether anybody wants it deleted (``delete_pvc``, a command) is not asked here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from k8s_hub.claims.home import EXTRA_CLAIM_ANNOTATION
from k8s_hub.claims.lookup import username_of
from k8s_hub.naming.ownership import ServerIdentity, is_of_release, is_ours
from k8s_hub.naming.templates import Scope
from k8s_hub.objects.keys import annotations_of, is_dying, key_of, uid_of
from k8s_hub.objects.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletable:
    """This claim, and no later one of its name, may be deleted: give the uid as precondition."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The claim stays; the reason completes the sentence "kept because ..."."""

    reason: str


Deletion: TypeAlias = Deletable | Kept


def may_delete(
    claim: Raw | None, *, identity: ServerIdentity, scope: Scope, referred_to_by: Sequence[str]
) -> Deletion:
    """Decide about a claim that was read just now; None if it was not found.

    ``scope`` is who shares what the claim's template names; ``referred_to_by`` says who else has the claim in
    saved state or by template ("user bob", "server gpu").
    """
    if claim is None:
        return Kept(reason="there is no such claim")
    reason = _doubt(claim, identity, scope, referred_to_by)
    return Deletable(name=key_of(claim).name, uid=uid_of(claim)) if reason is None else Kept(reason=reason)


def _doubt(claim: Raw, identity: ServerIdentity, scope: Scope, referred_to_by: Sequence[str]) -> str | None:
    """Return the first reason to keep the claim."""
    owner = username_of(claim)
    doubts = (
        (is_dying(claim), "it is being deleted already"),
        (not uid_of(claim), "it has no uid, so a later claim of its name could be hit"),
        (owner is None, "it is not annotated for any user"),
        (owner != identity.username, f"it is annotated for the user {owner!r}"),
        (not is_of_release(claim, identity), "it belongs to another release"),
        (not is_ours(claim, identity), "it is annotated for another server or lies in another namespace"),
        (EXTRA_CLAIM_ANNOTATION in annotations_of(claim), "it is not a home"),
        (scope is Scope.EVERYBODY, "its template gives all users the same claim"),
        (scope is Scope.USER and bool(identity.servername), "the user's other servers share it"),
        (bool(referred_to_by), f"it is used by {', '.join(referred_to_by)}"),
    )
    return next((reason for is_true, reason in doubts if is_true), None)
