"""May a claim be deleted? Only if it is certain whose it is and that nobody else uses it.

Whether anybody wants it deleted (``delete_pvc``, a command) is not asked here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from k8s_hub.claims.lookup import servername_of, username_of
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION, ServerIdentity, is_ours, matches_release
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """Another server of the same user; the default server is one even before its first start."""

    servername: str
    #: In its saved state; None where that names no claim.
    claim: str | None = None
    #: A server that has run without a claim in its state, under an earlier version, may have used any.
    has_run: bool = False
    #: What the template and those of earlier versions call its claim.
    names: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"server {self.servername!r}" if self.servername else "the default server"

    def may_use(self, claim: Raw) -> bool:
        """True if its state names the claim, or names none and template or annotation lead to this one."""
        name = key_of(claim).name
        if self.claim is not None:
            return self.claim == name
        return name in self.names or servername_of(claim) == self.servername


def may_delete(
    claim: Raw | None,
    *,
    identity: ServerIdentity,
    scope: Scope,
    is_remembered: bool = False,
    siblings: Sequence[Sibling] = (),
    other_users: Sequence[str] = (),
) -> Deletion:
    """Decide about a claim that was read just now; None if it was not found.

    ``scope`` is who shares what the claim's template names; ``is_remembered`` says that this server's saved state
    names it; ``other_users`` are those whose servers have it in their state.
    """
    if claim is None:
        return Kept(reason="there is no such claim")
    reason = _doubt(claim, identity, scope) or _other_use(
        claim, identity, scope, is_remembered=is_remembered, siblings=siblings, other_users=other_users
    )
    return Deletable(name=key_of(claim).name, uid=uid_of(claim)) if reason is None else Kept(reason=reason)


def _doubt(claim: Raw, identity: ServerIdentity, scope: Scope) -> str | None:
    """Return the first reason to keep the claim that it gives itself."""
    owner = username_of(claim)
    doubts = (
        (is_dying(claim), "it is being deleted already"),
        (not uid_of(claim), "it has no uid, so a later claim of its name could be hit"),
        (owner is None, "it is not annotated for any user"),
        (owner != identity.username, f"it is annotated for the user {owner!r}"),
        (not matches_release(claim, identity), "it belongs to another release"),
        (key_of(claim).namespace != identity.namespace, "it lies in another namespace"),
        (EXTRA_CLAIM_ANNOTATION in annotations_of(claim), "it is not a home"),
        (scope is Scope.EVERYBODY, "its template gives all users the same claim"),
        (scope is Scope.USER and bool(identity.servername), "the user's other servers share it"),
    )
    return next((reason for is_true, reason in doubts if is_true), None)


def _other_use(
    claim: Raw,
    identity: ServerIdentity,
    scope: Scope,
    *,
    is_remembered: bool,
    siblings: Sequence[Sibling],
    other_users: Sequence[str],
) -> str | None:
    """Return why somebody else may need the claim."""
    # What a user's servers share by design goes with the default server, which goes with the user only.
    others = [] if scope is Scope.USER else [sibling for sibling in siblings if sibling.may_use(claim)]
    users = [*map(str, others), *(f"user {name!r}" for name in other_users)]
    if users:
        return f"it is used by {', '.join(users)}"
    if is_ours(claim, identity) or scope is Scope.USER:
        return None
    # A renamed server keeps its claim and the claim its annotation, so the state has the say, if all have one.
    if is_remembered and not any(sibling.has_run and sibling.claim is None for sibling in siblings):
        return None
    return "it is annotated for another server"
