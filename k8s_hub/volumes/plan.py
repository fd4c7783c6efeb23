"""Who owns each claim, and whether it can be deleted: a pure function of the inventory.

A claim can be deleted only if it is certain that no user or server of the hub needs it. Any doubt keeps it, with the reason.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Self, TypeVar

from k8s_hub.claims.home import legacy_names, without_number
from k8s_hub.claims.lookup import servername_of, username_of
from k8s_hub.claims.saved_state import SavedState
from k8s_hub.hub.users import Server, User
from k8s_hub.naming.ownership import is_most_without_owner, releases_of, user_id_of
from k8s_hub.naming.templates import Names, Scope, scope_of
from k8s_hub.objects.keys import Key, created_at, is_terminating, key_of, uid_of
from k8s_hub.objects.raw import Raw

K = TypeVar("K")
V = TypeVar("V")

CLAIM_TEMPLATE = "claim-{user_server}"
POD_TEMPLATE = "jupyter-{user_server}"

UNKNOWN_NUMBER = "?"
"""Stands for a user's id, which the REST API does not have. No real claim or pod has it in its name."""


class Ownership(StrEnum):
    """Who owns a claim, as far as the hub knows."""

    SERVER = "server"
    GONE_SERVER = "no such server"
    GONE_USER = "no such user"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions:
    """The administrator's options of ``prune``."""

    #: Aware, UTC.
    now: datetime
    #: The value of a release label; None: there is only one release.
    release: str | None = None
    #: Templates of claim names, besides those of the chart and of KubeSpawner.
    templates: Sequence[str] = ()
    #: Keep claims that were created within this time: the last use of a claim without an owner is unknown.
    older_than: timedelta | None = None
    #: All namespaces are read: a claim's namespace must contain its user's name.
    is_everywhere: bool = False
    #: Delete even most claims: the hub has not lost its database.
    deletes_most: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerIndex:
    """The hub's users, and the claims and pods that their servers may use."""

    users: Mapping[str, User]
    #: Their names in lower case: a hub's normalisation of names may have changed.
    small_names: frozenset[str]
    #: Users by the second in which the hub added them: a claim has that time beside an earlier name of its user.
    created: Mapping[datetime, tuple[User, ...]]
    #: Servers by the claim in their saved state.
    homes: Mapping[Key, tuple[Server, ...]]
    #: The same for saved states without a namespace.
    homes_anywhere: Mapping[str, tuple[Server, ...]]
    #: Servers whose saved state names no claim, by each name that their claim may have. Default servers count even if
    #: they never ran.
    guesses: Mapping[str, tuple[str, ...]]
    #: Servers whose last run did not save a claim, by the name of their pod.
    pods: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, users: Iterable[User], templates: Sequence[str] = ()) -> Self:
        """Index the users. Their servers must be complete and their states visible."""
        by_name = {user.name: user for user in users}
        created: dict[datetime, tuple[User, ...]] = {}
        homes: dict[Key, tuple[Server, ...]] = {}
        anywhere: dict[str, tuple[Server, ...]] = {}
        guesses: dict[str, tuple[str, ...]] = {}
        pods: dict[str, tuple[str, ...]] = {}
        for user in by_name.values():
            if user.created is not None:
                _append(created, user.created.replace(microsecond=0), user)
            servers = {server.name: server for server in user.servers or ()}
            for server in servers.values():
                state = SavedState.load(server.state)
                for name in state.claims:
                    if state.namespace:
                        _append(homes, Key(state.namespace, name), server)
                    else:
                        _append(anywhere, name, server)
                if state.pod_name and not state.pvc_name:
                    _append(pods, state.pod_name, str(server))
            for servername in {"", *servers}:
                if servername in servers and SavedState.load(servers[servername].state).pvc_name:
                    continue
                for name in _names(user.name, servername, templates):
                    _append(guesses, name, f"{user.name}/{servername}" if servername else user.name)
        return cls(
            users=by_name,
            created=created,
            small_names=frozenset(name.lower() for name in by_name),
            homes=homes,
            homes_anywhere=anywhere,
            guesses=guesses,
            pods=pods,
        )

    def made_for(self, claim: Raw) -> User | None:
        """Return the user whom the claim was made for, whatever their name is now."""
        user_id = user_id_of(claim)
        if user_id is None:
            return None
        second = user_id.created.replace(microsecond=0)
        nearby = (self.created.get(second + timedelta(seconds=more), ()) for more in (-1, 0, 1))
        # The named user first: a database without fractions may have several of one second.
        named = self.users.get(username_of(claim) or "")
        for user in chain(() if named is None else (named,), *nearby):
            if user.created and replace(user_id, created=user.created).is_same(user_id):
                return user
        return None

    def users_of(self, key: Key) -> tuple[Server, ...]:
        """Return the servers whose saved state names the claim."""
        return (*self.homes.get(key, ()), *self.homes_anywhere.get(key.name, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFinding:
    """One claim, its owner, and whether it can be deleted."""

    claim: Raw = field(repr=False)
    ownership: Ownership
    #: The servers or the user that own it, else those that its annotations name.
    owner: str
    #: None: unknown.
    last_used: datetime | None
    mounted_by: Sequence[str]
    #: Completes "kept because ..."; None: it can be deleted.
    kept_because: str | None

    @property
    def deletable(self) -> bool:
        """True if there is no reason to keep the claim."""
        return self.kept_because is None

    @property
    def key(self) -> Key:
        """The claim's namespace and name."""
        return key_of(self.claim)

    @property
    def created(self) -> datetime | None:
        """When the claim was created."""
        return created_at(self.claim)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All claims, in the order of their names."""

    findings: Sequence[ClaimFinding]
    #: Why nothing at all can be deleted; completes "because ...". None without such a doubt.
    doubt: str | None


def plan(
    claims: Sequence[Raw], mounts: Mapping[Key, Sequence[str]], owners: OwnerIndex, options: PruneOptions
) -> Plan:
    """Evaluate all claims. ``mounts`` has the names of the pods that mount each claim."""
    findings = [
        evaluate_claim(claim, mounts.get(key_of(claim), ()), owners, options)
        for claim in sorted(claims, key=key_of)
    ]
    doubt = _doubt_about_the_whole(findings, owners, options)
    if doubt is not None:
        findings = [replace(found, kept_because=found.kept_because or doubt) for found in findings]
    return Plan(findings=findings, doubt=doubt)


def evaluate_claim(
    claim: Raw, mounted_by: Sequence[str], owners: OwnerIndex, options: PruneOptions
) -> ClaimFinding:
    """Evaluate one claim by itself, with the first reason to keep it."""
    servers = owners.users_of(key_of(claim))
    ownership, owner = _ownership(claim, servers, owners)
    finding = ClaimFinding(
        claim=claim,
        ownership=ownership,
        owner=owner,
        last_used=_last_used(claim, servers, owners),
        mounted_by=tuple(mounted_by),
        kept_because=None,
    )
    return replace(finding, kept_because=next(_reasons(finding, owners, options), None))


def may_be_of_release(claim: Raw, release: str | None) -> bool:
    """False only for a claim whose labels name another release; ``release`` None matches all."""
    return release is None or releases_of(claim) <= {release}


def _doubt_about_release(claim: Raw, release: str | None) -> str | None:
    """Return why the claim may be another hub's; None if its labels name this release, or neither side has one."""
    releases = releases_of(claim)
    if releases == ({release} if release else set()):
        return None
    if not releases:
        return "its labels name no release; if it is this hub's, prune it with --release ''"
    whose = f"it belongs to the release {', '.join(sorted(releases))}"
    return whose if release else f"{whose}; if that is this hub's, pass it with --release"


def _ownership(claim: Raw, servers: Sequence[Server], owners: OwnerIndex) -> tuple[Ownership, str]:
    if servers:
        return Ownership.SERVER, ", ".join(sorted(map(str, servers)))
    username, servername = username_of(claim), servername_of(claim)
    if username is None:
        return Ownership.NOBODY, ""
    owner = f"{username}/{servername}" if servername else username
    made_for = owners.made_for(claim)
    if made_for is not None and made_for.name != username:
        return Ownership.SERVER, made_for.name
    user = owners.users.get(username)
    if user is None:
        return Ownership.GONE_USER, owner
    if servername and user.server(servername) is None:
        return Ownership.GONE_SERVER, owner
    return Ownership.SERVER, owner


def _last_used(claim: Raw, servers: Sequence[Server], owners: OwnerIndex) -> datetime | None:
    user = owners.users.get(username_of(claim) or "")
    named = None if user is None else user.server(servername_of(claim))
    candidates = servers or ((named,) if named is not None else ())
    return max((server.last_activity for server in candidates if server.last_activity), default=None)


def _reasons(finding: ClaimFinding, owners: OwnerIndex, options: PruneOptions) -> Iterator[str]:
    """Yield the reasons to keep a claim, the simplest first."""
    claim, username, servername = finding.claim, username_of(finding.claim), servername_of(finding.claim)
    if is_terminating(claim):
        yield "it is already being deleted"
    if not uid_of(claim):
        yield "it has no uid: the delete could hit a later claim of the same name"
    if finding.mounted_by:
        yield f"it is mounted by the pod {', '.join(finding.mounted_by)}"
    if finding.ownership is Ownership.SERVER:
        yield f"it belongs to {finding.owner}"
    if username is None:
        yield "it has no username annotation"
        return
    if doubt := _doubt_about_release(claim, options.release):
        yield doubt
    if options.is_everywhere and not _fields(username).are_in(finding.key.namespace):
        yield (
            f"the namespace {finding.key.namespace} does not contain the user's name, so it may belong to another hub; "
            f"if it is this hub's, prune it with --namespace {finding.key.namespace}"
        )
    yield from (
        f"{who} may use it: that server's saved state names no claim"
        for who in owners.guesses.get(finding.key.name, ())
    )
    if finding.ownership is Ownership.GONE_SERVER:
        yield from _reasons_of_gone_server(finding, username, servername, owners, options)
    else:
        yield from _reasons_of_gone_user(finding, username, servername, owners, options)
    yield from _too_young(finding, options)


def _reasons_of_gone_server(
    finding: ClaimFinding, username: str, servername: str, owners: OwnerIndex, options: PruneOptions
) -> Iterator[str]:
    name = without_number(finding.key.name)
    forgetful = [
        str(server)
        for server in owners.users[username].servers or ()
        for state in [SavedState.load(server.state)]
        if state.has_run and not state.pvc_name
    ]
    if forgetful:
        yield f"{', '.join(forgetful)} may use it: that server's saved state names no claim"
    if name not in _names(username, servername, options.templates, {Scope.SERVER}):
        yield (
            f"the user {username!r} still exists, and their other servers may share a claim of this name; "
            "if they do not, pass its template with --template"
        )


def _reasons_of_gone_user(
    finding: ClaimFinding, username: str, servername: str, owners: OwnerIndex, options: PruneOptions
) -> Iterator[str]:
    if username.lower() in owners.small_names:
        yield f"a user exists whose name differs from {username!r} only in case"
    name = without_number(finding.key.name)
    if name not in _names(username, servername, options.templates, {Scope.SERVER, Scope.USER}):
        yield (
            "several users may share a claim of this name; if they do not, pass its template with --template, "
            "such as --template 'home-{username}'"
        )
    for pod in _pods(username, servername):
        yield from (
            f"{who} may use it: that server ran as the pod {pod}, and its saved state names no claim"
            for who in owners.pods.get(pod, ())
        )


def _too_young(finding: ClaimFinding, options: PruneOptions) -> Iterator[str]:
    if options.older_than is None:
        return
    days = options.older_than.days
    if finding.created is None:
        yield "its age is unknown"
    elif finding.created > options.now - options.older_than:
        yield f"it was created in the last {days} day{'' if days == 1 else 's'}"


def _doubt_about_the_whole(
    findings: Sequence[ClaimFinding], owners: OwnerIndex, options: PruneOptions
) -> str | None:
    """Return a reason to delete nothing at all: the claims may belong to another hub, or the hub has lost its users."""
    if not owners.users:
        return "the hub returned no users"
    candidates = sum(found.deletable for found in findings)
    if is_most_without_owner(candidates, len(findings)) and not options.deletes_most:
        return (
            f"{candidates} of {len(findings)} claims would be deleted: the hub may have lost its database; "
            "if it has not, pass --most"
        )
    if not options.release and not any(found.ownership is Ownership.SERVER for found in findings):
        return (
            "no claim here belongs to a user of the hub; check the namespace, and if it is the hub's, "
            "pass its release with --release"
        )
    return None


def _names(
    username: str, servername: str, templates: Sequence[str], scopes: Iterable[Scope] = Scope
) -> set[str]:
    """Return the names that the templates of these scopes give the server's claim, in any version of KubeSpawner."""
    fields = _fields(username, servername)
    return {
        legacy.name
        for template in (CLAIM_TEMPLATE, *templates)
        if scope_of(template) in set(scopes)
        for legacy in legacy_names(template, fields)
    }


def _pods(username: str, servername: str) -> set[str]:
    return {legacy.name for legacy in legacy_names(POD_TEMPLATE, _fields(username, servername))}


def _fields(username: str, servername: str = "") -> Names:
    return Names.of(
        username=username, servername=servername, userid=UNKNOWN_NUMBER, hub_namespace=UNKNOWN_NUMBER
    )


def _append(index: dict[K, tuple[V, ...]], key: K, value: V) -> None:
    index[key] = (*index.get(key, ()), value)
