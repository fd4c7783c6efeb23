"""Which claim is a server's home? Six rules, the first hit wins (``docs/lifecycle.md``).

The promise: no new claim while one of this server's exists, and nobody gets another user's files by a
coincidence of names.

The names that earlier hubs gave to a server's claim:

| KubeSpawner | user ada, server gpu | user user-1, default server |
|-------------|----------------------|-----------------------------|
| 7           | claim-ada--gpu       | claim-user-1                |
| 0.12 to 6.2 | claim-ada--gpu       | claim-user-2d1              |
| 0.11        | claim-ada-gpu        | claim-user-2d1              |
| 0.9, 0.10   | claim-ada-2dgpu      | claim-user-2d1              |
| 0.8         | claim-ada-gpu        | claim-user-2d1              |

The Zero to JupyterHub chart until version 3 kept the template of KubeSpawner 0.11, whose server name had
lost its dash in 0.12: claim-adagpu.
All of them annotated claims with the user's and the server's name.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import count
from typing import Protocol, TypeAlias

from k8s_hub.claims.lookup import ClaimLookup, username_of
from k8s_hub.naming import slugs
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION, ServerIdentity, is_ours, matches_release
from k8s_hub.naming.templates import Names, Scope, expand
from k8s_hub.objects import timestamps
from k8s_hub.objects.keys import Key, annotations_of, is_dying, key_of, metadata_of
from k8s_hub.objects.raw import Raw


class Why(StrEnum):
    """The rule that decided, as a log line can say it."""

    ASSIGNED = "its name was set for this server"
    REMEMBERED = "the saved state names it"
    TEMPLATE = "the template names it"
    LEGACY = "an earlier version of the hub named it so"
    ANNOTATED = "it is annotated for this server"
    FIRST = "this server has no claim yet"
    TEMPLATE_TAKEN = "this server has no claim yet and another server has the one of the template's name"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeName:
    """The name of a server's home claim with its sources, the weakest first: the last one that has a name counts."""

    template: str
    """The template, as it was when everything was named: later ones name nothing."""
    by_template: str
    """The template's name for this server."""
    remembered: str | None = None
    """Of the claim that was used last: as the saved state says, or as it was found since."""
    assigned: str | None = None
    """By a hook, a profile or a subclass, since the claim was last found."""

    @property
    def current(self) -> str:
        """The name that counts."""
        if self.assigned is not None:
            return self.assigned
        return self.by_template if self.remembered is None else self.remembered

    def found(self, name: str) -> "HomeName":
        """Return the same after the home was found, or created, under this name."""
        return replace(self, remembered=name, assigned=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class UseExisting:
    """This claim is the home; it may be dying or lost, which is for diagnosis to say."""

    name: str
    claim: Raw
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """There is no home yet: create one of this name."""

    name: str
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The name leads to the files of another user."""

    message: str
    """For the user."""
    detail: str
    """For the admin."""
    owner: str


HomeChoice: TypeAlias = UseExisting | Create | Refuse


class Known(Protocol):
    """What the hub knows of its users; a dict by name fits."""

    def get(self, username: str, /) -> datetime | None:
        """Return when the hub came to know this user (aware); None: it does not know one of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyName:
    """A name under which this server's home may be found."""

    name: str
    is_unmistakable: bool
    """False where another server may have had it: claim-adagpu was the user adagpu's, and ada's server gpu's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeRequest:
    """All that is known about one server before its home is chosen."""

    identity: ServerIdentity
    template_name: str
    """The template's name for this server."""
    scope: Scope
    """Who shares what the template names."""
    assigned_name: str | None = None
    """Set by a hook, a profile or a subclass, who know what they do: it is not questioned."""
    remembered_name: str | None = None
    """From the saved state; None with ``remember_pvc_name = False``."""
    legacy_names: Sequence[LegacyName] = ()
    """Empty with ``handle_legacy_names = False``."""
    taken: Container[str] = frozenset()
    """Names of claims that other servers of this user have in their state."""
    known_since: datetime | None = None
    """When the hub came to know this user (aware); None where nobody knows."""
    living_users: Known = field(default_factory=dict[str, datetime])
    """The other users, and since when. What is older than its user belongs to an earlier bearer of the name."""
    taken_by_others: Container[str] = frozenset()
    """Names of claims that servers of other users have in their state."""


def choose_home(request: HomeRequest, claims: ClaimLookup) -> HomeChoice:
    """Return the server's home, or the name to create it with, or why it cannot have one."""
    rules = (_explicit, _remembered, _of_template, _legacy, _annotated)
    choices = (rule(request, claims) for rule in rules)
    return next((choice for choice in choices if choice is not None), None) or _new(request, claims)


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


def _of_template(request: HomeRequest, claims: ClaimLookup) -> HomeChoice | None:
    if _is_taken(request, request.template_name):
        return None
    home = _named(request, claims, request.template_name, Why.TEMPLATE)
    if home is None or _is_of_other_user(request, home.claim) or _is_of_renamed_user(request, home.claim):
        return None
    return home


def _legacy(request: HomeRequest, claims: ClaimLookup) -> HomeChoice | None:
    homes = (
        home
        for legacy in request.legacy_names
        if (home := _named(request, claims, legacy.name, Why.LEGACY))
        if _is_candidate(request, home.claim)
        if _is_own(request, home.claim) or (legacy.is_unmistakable and _is_of_nobody(request, home.claim))
    )
    return next(homes, None)


def _annotated(request: HomeRequest, claims: ClaimLookup) -> HomeChoice | None:
    own = (
        claim
        for claim in claims.find(request.identity.username)
        if _is_candidate(request, claim) and _is_own(request, claim)
    )
    claim = min(own, key=_likelihood, default=None)
    return None if claim is None else UseExisting(name=key_of(claim).name, claim=claim, why=Why.ANNOTATED)


def _new(request: HomeRequest, claims: ClaimLookup) -> HomeChoice:
    name = request.template_name
    existing = _named(request, claims, name, Why.TEMPLATE)
    if _is_taken(request, name) or (existing is not None and _is_of_renamed_user(request, existing.claim)):
        free = (other for other in _numbered(name) if _is_free(request, claims, other))
        return Create(name=next(free), why=Why.TEMPLATE_TAKEN)
    if existing is not None:
        return _refuse(request, existing.claim)
    return Create(name=name, why=Why.FIRST)


def _named(request: HomeRequest, claims: ClaimLookup, name: str, why: Why) -> UseExisting | None:
    claim = claims.get(Key(request.identity.namespace, name))
    return None if claim is None else UseExisting(name=name, claim=claim, why=why)


def _is_taken(request: HomeRequest, name: str) -> bool:
    """True if another server of this user lives there; servers that share a home by design may."""
    return request.scope is Scope.SERVER and name in request.taken


def _is_of_other_user(request: HomeRequest, claim: Raw) -> bool:
    """True if the claim is another user's home; where all users share one, somebody had to create it."""
    is_shared = request.scope is Scope.EVERYBODY
    return not is_shared and username_of(claim) not in (None, request.identity.username)


def _is_of_living_user(request: HomeRequest, claim: Raw) -> bool:
    """True if the claim is another user's home; not if it is older than the user of the name it carries.

    Then it was this user's under the name they had before: a user who is renamed keeps the claim and its
    annotation, and the old name is free for somebody else.
    """
    if not _is_of_other_user(request, claim):
        return False
    known = request.living_users.get(username_of(claim) or "")
    created = _created(claim)
    return known is not None and (created is None or created >= known)


def _is_of_renamed_user(request: HomeRequest, claim: Raw) -> bool:
    """True if the claim was made before this user was known, and another user's server has it in its state."""
    known, created = request.known_since, _created(claim)
    if request.scope is Scope.EVERYBODY or known is None or created is None:
        return False
    return created < known and key_of(claim).name in request.taken_by_others


def _created(claim: Raw) -> datetime | None:
    text = metadata_of(claim).get("creationTimestamp")
    return timestamps.parse(text) if text else None


def _is_candidate(request: HomeRequest, claim: Raw) -> bool:
    """False for another home: a claim besides the home, or the home of another server or of a renamed user."""
    return not (
        EXTRA_CLAIM_ANNOTATION in annotations_of(claim)
        or _is_taken(request, key_of(claim).name)
        or _is_of_renamed_user(request, claim)
    )


def _is_own(request: HomeRequest, claim: Raw) -> bool:
    """True if the annotations name this server; where a user's servers share a home, any of them."""
    if request.scope is Scope.SERVER:
        return is_ours(claim, request.identity)
    return (
        username_of(claim) == request.identity.username
        and key_of(claim).namespace == request.identity.namespace
        and matches_release(claim, request.identity)
    )


def _is_of_nobody(request: HomeRequest, claim: Raw) -> bool:
    """True for a claim that was prepared by hand, or restored without its annotations."""
    return username_of(claim) is None and matches_release(claim, request.identity)


def _likelihood(claim: Raw) -> tuple[bool, bool, str, str]:
    """Sort the claims of one server: the oldest sound one is where the files are."""
    metadata = metadata_of(claim)
    is_lost = (claim.get("status") or {}).get("phase") == "Lost"
    return is_dying(claim), is_lost, str(metadata.get("creationTimestamp") or ""), key_of(claim).name


def _numbered(name: str) -> Iterator[str]:
    # Two dashes and a digit: no other user's slug gives such a name.
    return (f"{name}--{number}" for number in count(2))


def _is_free(request: HomeRequest, claims: ClaimLookup, name: str) -> bool:
    return name not in request.taken and claims.get(Key(request.identity.namespace, name)) is None


def _refuse(request: HomeRequest, claim: Raw) -> Refuse:
    owner = username_of(claim) or ""
    return Refuse(
        message="Your home volume cannot be opened because a volume of its name belongs to another user. "
        "Contact your administrator.",
        detail=f"The claim {key_of(claim)} is annotated for the user {owner!r}, so {request.identity.username!r} "
        "does not get it; if it is theirs, correct its annotation hub.jupyter.org/username, or change "
        "KubeSpawner.pvc_name_template",
        owner=owner,
    )


# --- Names of earlier versions ---


_DEFAULT_TEMPLATES = (
    "claim-{user_server}",  # KubeSpawner 7; in 0.12 to 6.2 {username}--{servername}, which is the same
    "claim-{username}{servername}",  # KubeSpawner before 0.12, and the chart until 3
)


def legacy_names(template: str, names: Names) -> tuple[LegacyName, ...]:
    """Return every name an earlier version may have used, the latest first, each once.

    The template configured now may have been in use then, so each version's fields are filled into it too.
    """
    found: dict[str, LegacyName] = {}
    for fields in _eras(names):
        for era_template in (template, *_DEFAULT_TEMPLATES):
            name = expand(era_template, fields)
            is_unmistakable = not names.unescaped_servername or fields.user_server in name
            found.setdefault(name, LegacyName(name=name, is_unmistakable=is_unmistakable))
    return tuple(found.values())


def _eras(names: Names) -> Iterator[Names]:
    """Yield the fields as each version filled them in, from KubeSpawner 7 back to 0.8."""
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
