"""Whether a claim may be deleted: only if its owner is certain, and no other server or user needs it.

Whether it should be deleted (``delete_pvc``, a command) is the caller's question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from k8s_hub.claims.lookup import servername_of, username_of
from k8s_hub.naming.ownership import (
    EXTRA_CLAIM_ANNOTATION,
    ServerIdentity,
    has_user_id,
    is_of_namesake,
    is_ours,
    matches_release,
    user_id_of,
)
from k8s_hub.naming.templates import Scope
from k8s_hub.objects.keys import annotations_of, is_terminating, key_of, uid_of
from k8s_hub.objects.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletable:
    """This claim may be deleted. Pass the uid as a precondition, so that a later claim of the name is safe."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The claim stays. The reason completes "kept because ..."."""

    reason: str


Deletion: TypeAlias = Deletable | Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """Another server of the same user. The default server counts even before its first start."""

    servername: str
    #: The claim in its saved state; None if the state names none.
    claim: str | None = None
    #: True if it has run. Under an earlier version it may have used any claim without saving its name.
    has_run: bool = False
    #: The names of its claim by the template, in this and in earlier versions; None if only a subclass can tell them.
    names: frozenset[str] | None = frozenset()

    def __str__(self) -> str:
        return f"server {self.servername!r}" if self.servername else "the default server"

    def may_use(self, claim: Raw) -> bool:
        """True if its saved state names the claim, or names none and the template or the annotation does.

        Any claim may be that of a server that has run, if neither its state nor the template tells the name.
        """
        name = key_of(claim).name
        if self.claim is not None:
            return self.claim == name
        if servername_of(claim) == self.servername:
            return True
        return self.has_run if self.names is None else name in self.names


def may_delete(
    claim: Raw | None,
    *,
    identity: ServerIdentity,
    scope: Scope,
    is_remembered: bool = False,
    siblings: Sequence[Sibling] = (),
    other_users: Sequence[str] = (),
    in_use_by: Sequence[str] = (),
) -> Deletion:
    """Decide about a claim that was just read; None if it was not found.

    ``scope``: who shares the claim by its template. ``is_remembered``: this server's saved state names it.
    ``other_users``: the users whose saved states name it. ``in_use_by``: pods that mount it and servers that are about to.
    """
    if claim is None:
        return Kept(reason="it does not exist")
    if in_use_by:
        return Kept(reason=f"it is used by {', '.join(in_use_by)}")
    reason = _doubt(claim, identity, scope, is_remembered=is_remembered) or _other_use(
        claim, identity, scope, is_remembered=is_remembered, siblings=siblings, other_users=other_users
    )
    return Deletable(name=key_of(claim).name, uid=uid_of(claim)) if reason is None else Kept(reason=reason)


def _doubt(claim: Raw, identity: ServerIdentity, scope: Scope, *, is_remembered: bool) -> str | None:
    """Return the first reason to keep the claim that is in the claim itself."""
    owner = username_of(claim)
    is_of_earlier_user = user_id_of(claim) is not None and not has_user_id(claim, identity)
    doubts = (
        (is_terminating(claim), "it is already being deleted"),
        (not uid_of(claim), "it has no uid: the delete could hit a later claim of the same name"),
        (owner is None, "it has no username annotation"),
        (owner != identity.username, f"it is annotated for the user {owner!r}"),
        (is_of_namesake(claim, identity), "it belongs to a renamed user, who had this name before"),
        (is_of_earlier_user and not is_remembered, "it was made for an earlier user of this name"),
        (not matches_release(claim, identity), "it belongs to another release"),
        (key_of(claim).namespace != identity.namespace, "it is in another namespace"),
        (EXTRA_CLAIM_ANNOTATION in annotations_of(claim), "it is not a home claim"),
        (scope is Scope.EVERYBODY, "all users share it"),
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
    """Return why another server or user may need the claim."""
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
