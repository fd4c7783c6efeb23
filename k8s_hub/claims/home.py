"""Chooses the claim that is a server's home: six rules, the first hit wins (``docs/lifecycle.md``).

No claim is created while the server has one, and no user gets another user's files by a coincidence of names.

The names that earlier hubs gave to a server's claim:

| KubeSpawner | user ada, server gpu | user user-1, default server |
|-------------|----------------------|-----------------------------|
| 7           | claim-ada--gpu       | claim-user-1                |
| 0.12 to 6.2 | claim-ada--gpu       | claim-user-2d1              |
| 0.11        | claim-ada-gpu        | claim-user-2d1              |
| 0.9, 0.10   | claim-ada-2dgpu      | claim-user-2d1              |
| 0.8         | claim-ada-gpu        | claim-user-2d1              |

The Zero to JupyterHub chart until version 3 kept the template of KubeSpawner 0.11. KubeSpawner 0.12 dropped the dash
before the server's name: claim-adagpu. All versions annotated claims with the user's and the server's name.
"""

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import count
from typing import Protocol, TypeAlias

from k8s_hub.claims.lookup import ClaimLookup, username_of
from k8s_hub.naming import slugs
from k8s_hub.naming.ownership import (
    EXTRA_CLAIM_ANNOTATION,
    ServerIdentity,
    has_user_id,
    is_of_namesake,
    is_of_user,
    is_ours,
    matches_release,
    user_id_of,
)
from k8s_hub.naming.templates import Names, Scope, expand
from k8s_hub.objects.keys import (
    Key,
    annotations_of,
    created_at,
    is_terminating,
    key_of,
    metadata_of,
    phase_of,
)
from k8s_hub.objects.raw import Raw

_NUMBER = re.compile(r"--[0-9]+$")


class Why(StrEnum):
    """The rule that decided, in words for log lines."""

    ASSIGNED = "a hook, a profile or a subclass set its name"
    REMEMBERED = "the saved state names it"
    TEMPLATE = "the template names it"
    LEGACY = "an earlier version of the hub gave it this name"
    ANNOTATED = "its annotations name this server"
    FIRST = "this server has no claim yet"
    TEMPLATE_TAKEN = "this server has no claim yet, and another server uses the template's name"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeName:
    """The name of a server's home claim by its sources, the weakest first: the last one that is set counts."""

    template: str
    """The template at the time when the server's names were resolved. Later changes have no effect."""
    template_name: str
    """The template's name for this server."""
    remembered_name: str | None = None
    """The claim that was used last: from the saved state, or found since."""
    assigned_name: str | None = None
    """Set by a hook, a profile or a subclass since the claim was last found."""

    @property
    def current(self) -> str:
        """The name that counts."""
        if self.assigned_name is not None:
            return self.assigned_name
        return self.template_name if self.remembered_name is None else self.remembered_name

    def found(self, name: str) -> "HomeName":
        """Return a copy for a home that was found, or created, under this name."""
        return replace(self, remembered_name=name, assigned_name=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class UseExisting:
    """This claim is the home. It may be terminating or lost: ``diagnosis`` reports that."""

    name: str
    claim: Raw
    why: Why
    missing: str | None = None
    """The claim that the saved state names, and that was not found: a view may lack it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """There is no home yet: create a claim with this name."""

    name: str
    why: Why
    missing: str | None = None
    """As in `UseExisting`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The claim with this name has another user's files."""

    message: str
    """For the user."""
    detail: str
    """For the admin."""
    owner: str


HomeChoice: TypeAlias = UseExisting | Create | Refuse


class Known(Protocol):
    """What the hub knows about its users, such as a dict by name."""

    def get(self, username: str, /) -> datetime | None:
        """Return when the user was created (aware); None if there is no such user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyName:
    """A name under which this server's home may be found."""

    name: str
    is_unmistakable: bool
    """False if another server may have had the name: both the user adagpu and ada's server gpu had claim-adagpu."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeRequest:
    """Everything that `choose_home` needs to know about one server."""

    identity: ServerIdentity
    template_name: str
    """The template's name for this server."""
    scope: Scope
    """Who shares the claim that the template names."""
    assigned_name: str | None = None
    """Set by a hook, a profile or a subclass: used without any check of the owner."""
    remembered_name: str | None = None
    """From the saved state; None with ``remember_pvc_name = False``."""
    legacy_names: Sequence[LegacyName] = ()
    """Empty with ``handle_legacy_names = False``."""
    taken: Container[str] = frozenset()
    """Claims in the saved states of this user's other servers."""
    known_since: datetime | None = None
    """When the user was created (aware); None if unknown."""
    living_users: Known = field(default_factory=dict[str, datetime])
    """The hub's users, and when each was created. A claim that is older belonged to an earlier user of that name."""
    taken_by_others: Container[str] = frozenset()
    """Claims in the saved states of other users' servers."""


def choose_home(request: HomeRequest, claims: ClaimLookup) -> HomeChoice:
    """Return the server's home, or the name for a new one, or why it cannot have one."""
    chosen = _explicit(request, claims) or _remembered(request, claims)
    if chosen is not None:
        return chosen
    choices = (rule(request, claims) for rule in (_of_template, _legacy, _annotated))
    found = next((choice for choice in choices if choice is not None), None) or _new(request, claims)
    return found if isinstance(found, Refuse) else replace(found, missing=_missing(request, claims))


def _explicit(request: HomeRequest, claims: ClaimLookup) -> HomeChoice | None:
    if request.assigned_name is None:
        return None
    existing = _named(request, claims, request.assigned_name, Why.ASSIGNED)
    return existing or Create(name=request.assigned_name, why=Why.ASSIGNED)


def _remembered(request: HomeRequest, claims: ClaimLookup) -> HomeChoice | None:
    if request.remembered_name is None:
        return None
    home = _named(request, claims, request.remembered_name, Why.REMEMBERED)
    return None if home is None or _is_of_living_user(request, home.claim) else home


def _of_template(request: HomeRequest, claims: ClaimLookup) -> UseExisting | None:
    if _is_taken(request, request.template_name):
        return None
    home = _named(request, claims, request.template_name, Why.TEMPLATE)
    if home is None or _is_of_other_user(request, home.claim) or _is_of_renamed_user(request, home.claim):
        return None
    return None if _is_outdone(request, claims, home.claim) else home


def _legacy(request: HomeRequest, claims: ClaimLookup) -> UseExisting | None:
    homes = (
        home
        for legacy in request.legacy_names
        if (home := _named(request, claims, legacy.name, Why.LEGACY))
        if _is_candidate(request, home.claim) and not _is_outdone(request, claims, home.claim)
        if _is_own(request, home.claim) or (legacy.is_unmistakable and _is_of_nobody(request, home.claim))
    )
    return next(homes, None)


def _annotated(request: HomeRequest, claims: ClaimLookup) -> UseExisting | None:
    own = (claim for claim in _own_claims(request, claims) if not _is_outdone(request, claims, claim))
    claim = min(own, key=_likelihood, default=None)
    return None if claim is None else UseExisting(name=key_of(claim).name, claim=claim, why=Why.ANNOTATED)


def _own_claims(request: HomeRequest, claims: ClaimLookup) -> Iterator[Raw]:
    user_id = request.identity.user_id
    found = [*claims.find(request.identity.username)]
    if user_id is not None:
        found += claims.find(user_id.number)
    return (claim for claim in found if _is_candidate(request, claim) and _is_own(request, claim))


def _is_outdone(request: HomeRequest, claims: ClaimLookup, claim: Raw) -> bool:
    """True for a claim of a deleted user who had this name, if there is one that was certainly made for this user."""
    if request.scope is Scope.EVERYBODY or user_id_of(claim) is None or has_user_id(claim, request.identity):
        return False
    return any(has_user_id(own, request.identity) for own in _own_claims(request, claims))


def _new(request: HomeRequest, claims: ClaimLookup) -> HomeChoice:
    name = request.template_name
    existing = _named(request, claims, name, Why.TEMPLATE)
    if _is_taken(request, name) or (existing is not None and _is_of_renamed_user(request, existing.claim)):
        free = (other for other in _numbered(name) if _is_free(request, claims, other))
        return Create(name=next(free), why=Why.TEMPLATE_TAKEN)
    if existing is not None:
        return _refuse(request, existing.claim)
    return Create(name=name, why=Why.FIRST)


def _missing(request: HomeRequest, claims: ClaimLookup) -> str | None:
    name = request.remembered_name
    return None if name is None or _named(request, claims, name, Why.REMEMBERED) else name


def _named(request: HomeRequest, claims: ClaimLookup, name: str, why: Why) -> UseExisting | None:
    claim = claims.get(Key(request.identity.namespace, name))
    return None if claim is None else UseExisting(name=name, claim=claim, why=why)


def _is_taken(request: HomeRequest, name: str) -> bool:
    """True if another server of this user uses the claim, unless the template lets them share it."""
    return request.scope is Scope.SERVER and name in request.taken


def _is_of_other_user(request: HomeRequest, claim: Raw) -> bool:
    """True if the claim is another user's home. A claim that all users share has the annotations of its first user."""
    is_shared = request.scope is Scope.EVERYBODY
    return not (is_shared or username_of(claim) is None or is_of_user(claim, request.identity))


def _is_of_living_user(request: HomeRequest, claim: Raw) -> bool:
    """True if the claim is another user's home, and not older than the user that its annotation names.

    An older claim is this user's from before a rename: the claim keeps its annotation, and another user may get the old
    name.
    """
    if not _is_of_other_user(request, claim):
        return False
    if user_id_of(claim) in request.identity.other_users:
        return True
    known = request.living_users.get(username_of(claim) or "")
    created = created_at(claim)
    return known is not None and (created is None or created >= known)


def _is_of_renamed_user(request: HomeRequest, claim: Raw) -> bool:
    """True if the claim is of a user who had this user's name before.

    Either its id says so, or it is older than this user, and the saved state of another user's server names it.
    """
    if request.scope is Scope.EVERYBODY or has_user_id(claim, request.identity):
        return False
    if is_of_namesake(claim, request.identity):
        return True
    known, created = request.known_since, created_at(claim)
    if known is None or created is None:
        return False
    return created < known and key_of(claim).name in request.taken_by_others


def _is_candidate(request: HomeRequest, claim: Raw) -> bool:
    """False for an extra claim, and for the home of another server or of a renamed user."""
    return not (
        EXTRA_CLAIM_ANNOTATION in annotations_of(claim)
        or _is_taken(request, key_of(claim).name)
        or _is_of_renamed_user(request, claim)
    )


def _is_own(request: HomeRequest, claim: Raw) -> bool:
    """True if the annotations name this server, or any server of the user if they share a home."""
    if request.scope is Scope.SERVER:
        return is_ours(claim, request.identity)
    return (
        is_of_user(claim, request.identity)
        and key_of(claim).namespace == request.identity.namespace
        and matches_release(claim, request.identity)
    )


def _is_of_nobody(request: HomeRequest, claim: Raw) -> bool:
    """True for a claim without an owner: prepared by an administrator, or restored without its annotations."""
    return username_of(claim) is None and matches_release(claim, request.identity)


def _likelihood(claim: Raw) -> tuple[bool, bool, str, str]:
    """Sort the claims of one server: the files are probably in the oldest healthy one."""
    metadata = metadata_of(claim)
    is_lost = phase_of(claim) == "Lost"
    return is_terminating(claim), is_lost, str(metadata.get("creationTimestamp") or ""), key_of(claim).name


def _numbered(name: str) -> Iterator[str]:
    # Two dashes and a digit: no other user's slug gives such a name.
    return (f"{name}--{number}" for number in count(2))


def without_number(name: str) -> str:
    """Return the template's name for a claim that got a number, because the template's was taken."""
    return _NUMBER.sub("", name)


def _is_free(request: HomeRequest, claims: ClaimLookup, name: str) -> bool:
    return name not in request.taken and claims.get(Key(request.identity.namespace, name)) is None


def _refuse(request: HomeRequest, claim: Raw) -> Refuse:
    owner = username_of(claim) or ""
    return Refuse(
        message="Your home volume cannot be opened because a volume of its name belongs to another user. "
        "Contact your administrator.",
        detail=f"The claim {key_of(claim)} is annotated for the user {owner!r}, so {request.identity.username!r} "
        f"cannot use it; if it belongs to {request.identity.username!r}, correct its annotation "
        "hub.jupyter.org/username, otherwise change KubeSpawner.pvc_name_template",
        owner=owner,
    )


# --- Names of earlier versions ---


_DEFAULT_TEMPLATES = (
    "claim-{user_server}",  # KubeSpawner 7; in 0.12 to 6.2 {username}--{servername}, which is the same
    "claim-{username}{servername}",  # KubeSpawner before 0.12, and the chart until 3
)


def legacy_names(template: str, names: Names) -> tuple[LegacyName, ...]:
    """Return every name that an earlier version may have used, the latest first, each once.

    Today's template may have been in use then, so it is expanded with the fields of each version, too.
    """
    found: dict[str, LegacyName] = {}
    for fields in _eras(names):
        for era_template in (template, *_DEFAULT_TEMPLATES):
            name = expand(era_template, fields)
            is_unmistakable = not names.unescaped_servername or fields.user_server in name
            found.setdefault(name, LegacyName(name=name, is_unmistakable=is_unmistakable))
    return tuple(found.values())


def _eras(names: Names) -> Iterator[Names]:
    """Yield the template fields of each version, from KubeSpawner 7 back to 0.8."""
    yield replace(
        names,
        username=names.safe_username,
        servername=names.safe_servername,
        user_server=names.safe_user_server,
    )
    escaped = replace(
        names,
        username=names.escaped_username,
        servername=names.escaped_servername,
        user_server=names.escaped_user_server.removesuffix("--"),
    )
    yield escaped
    if servername := names.unescaped_servername:
        yield replace(escaped, servername=f"-{names.escaped_servername}")
        yield replace(escaped, servername=slugs.escape(f"-{servername}"))
        yield replace(escaped, servername=f"-{servername}")
