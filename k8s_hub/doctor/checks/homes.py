"""Homes: which claims each server would get at its next start, by the spawner's own rules. Changes nothing."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from k8s_hub.claims.extra import choose_extra
from k8s_hub.claims.home import (
    Create,
    HomeChoice,
    HomeRequest,
    Refuse,
    UseExisting,
    Why,
    choose_home,
    legacy_names,
)
from k8s_hub.claims.lookup import owners_of
from k8s_hub.claims.saved_state import SavedState
from k8s_hub.doctor.checks.findings import Finding, Status, fine, noted, unknown, wrong
from k8s_hub.hub.users import User
from k8s_hub.naming.ownership import ServerIdentity
from k8s_hub.naming.templates import Names, Scope, SlugScheme, expand, scope_of
from k8s_hub.objects.keys import Key, is_terminating, key_of, phase_of
from k8s_hub.objects.raw import Raw
from k8s_hub.volumes.plan import UNKNOWN_NUMBER

CHECK = "homes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The hub's configuration; from ``claim_template`` on, the values of KubeSpawner's options."""

    namespace: str
    release_labels: Mapping[str, str]
    claim_template: str
    pod_template: str
    slug_scheme: SlugScheme = SlugScheme.SAFE
    remember_pvc_name: bool = True
    handle_legacy_names: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The claims of a namespace, by name and by owner."""

    by_key: Mapping[Key, Raw]
    by_user: Mapping[Hashable, Sequence[Raw]]

    def get(self, key: Key, /) -> Raw | None:
        """Return the claim of that name."""
        return self.by_key.get(key)

    def find(self, value: Hashable, /) -> Iterable[Raw]:
        """Return the claims whose annotations have this user's name or number."""
        return self.by_user.get(value, ())


def indexed(claims: Iterable[Raw]) -> Claims:
    """Index the claims for `choose_home`."""
    by_key, by_user = {}, defaultdict[Hashable, list[Raw]](list)
    for claim in claims:
        by_key[key_of(claim)] = claim
        for owner in owners_of(claim):
            by_user[owner].append(claim)
    return Claims(by_key=by_key, by_user=by_user)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRecords:
    """What the hub knows about all users."""

    settings: Settings
    since: Mapping[str, datetime]
    """When each user was created, as far as the hub says."""
    holders: Mapping[str, Collection[str]]
    """By claim name: the users whose saved states name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldByOthers:
    """The claims that the saved states of other users' servers name."""

    username: str
    holders: Mapping[str, Collection[str]]

    def __contains__(self, name: object) -> bool:
        return any(holder != self.username for holder in self.holders.get(str(name), ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPod:
    """The pod that a server has, or would have."""

    identity: ServerIdentity
    name: str
    uid: str = ""
    """Of the last pod. It identifies the pod even after a rename of the user; empty before the first start."""


def hub_records(users: Sequence[User], settings: Settings) -> HubRecords:
    """Collect what the hub knows about all users; their states must be visible."""
    holders = defaultdict[str, set[str]](set)
    for user in users:
        for state in _states(user).values():
            for claim in state.claims if _is_here(state, settings) else ():
                holders[claim].add(user.name)
    since = {user.name: user.created for user in users if user.created}
    return HubRecords(settings=settings, since=since, holders=holders)


def expected_pods(users: Iterable[User], settings: Settings) -> Iterator[ExpectedPod]:
    """Yield the pod of each server in the namespace; every user counts as having a default server."""
    for user in users:
        for servername, state in _states(user).items():
            if _is_here(state, settings):
                if not state.pod_name and _has_number(settings.pod_template):
                    continue  # see `unnamed_pods`
                name = state.pod_name or expand(
                    settings.pod_template, _names(user.name, servername, settings)
                )
                identity = _identity(user.name, servername, settings)
                yield ExpectedPod(identity=identity, name=name, uid=state.pod_uid or "")


def unnamed_pods(users: Iterable[User], settings: Settings) -> Iterator[Finding]:
    """Yield the finding about servers whose pods' names are not known, if there are any."""
    unnamed = [
        str(_identity(user.name, servername, settings))
        for user in users
        for servername, state in _states(user).items()
        if _is_here(state, settings) and not state.pod_name and _has_number(settings.pod_template)
    ]
    if unnamed:
        yield unknown("pods", "pods of first starts", f"{_counted(unnamed)}: {_NUMBER}")


_NUMBER = "not checked: the template has {userid}, and the hub does not tell the users' numbers"


def _has_number(template: str) -> bool:
    return "{userid" in template


def _counted(servers: Sequence[str]) -> str:
    first, *others = servers
    return first if not others else f"{first} and {len(others)} more"


def check_claims(users: Sequence[User], claims: Sequence[Raw], settings: Settings) -> Iterator[Finding]:
    """Yield the claims that each server would get; the users' states must be visible."""
    lookup, hub = indexed(claims), hub_records(users, settings)
    found, elsewhere, first_homes, unnamed = 0, set[str](), list[str](), list[str]()
    for user in users:
        states = _states(user)
        for servername, state in states.items():
            if not _is_here(state, settings):
                elsewhere.add(str(state.namespace))
                continue
            request = _request(user, servername, states, hub)
            choice = choose_home(request, lookup)
            if isinstance(choice, Create) and request.remembered_name is None:
                is_unnamed = _has_number(settings.claim_template)
                (unnamed if is_unnamed else first_homes).append(str(request.identity))
            for finding in _of_server(request, choice, state, lookup, hub):
                found += 1
                yield finding
    if first_homes:
        yield _first_homes(first_homes, claims if not found else ())
    elif not found and not elsewhere and not unnamed:
        yield fine(CHECK, "claims", "no server has a claim yet")
    if unnamed:
        yield unknown(CHECK, "claims of first starts", f"{_counted(unnamed)}: {_NUMBER}")
    if elsewhere:
        yield unknown(
            CHECK,
            "other namespaces",
            f"not checked: saved states name servers in {_listed(elsewhere)}",
            advice="run doctor with --namespace for each of them",
        )


def _first_homes(servers: Sequence[str], unmatched: Sequence[Raw]) -> Finding:
    """Return the finding about servers without a home; ``unmatched``: the claims, if none is a server's home."""
    first, *others = servers
    new = f"{first} gets" if not others else f"{first} and {len(others)} more get"
    message = f"{new} a new, empty claim at the next start"
    if not unmatched:
        return fine(CHECK, "claims", message)
    return noted(
        CHECK,
        "claims",
        f"{message}; none of the existing claims ({key_of(unmatched[0]).name}, ...) is a server's home",
        advice="if the hub has a claim template of its own, pass it with --claim-template",
    )


def _of_server(
    request: HomeRequest, choice: HomeChoice, state: SavedState, lookup: Claims, hub: HubRecords
) -> Iterator[Finding]:
    """Yield the findings about a server's home and its extra claims, by name."""
    subject = str(request.identity)
    if not isinstance(choice, Create) or request.remembered_name is not None:  # else it gets its first
        yield _finding(subject, choice, request.remembered_name)
    if not hub.settings.remember_pvc_name:
        return
    for name, claim in sorted(state.extra_claims.items()):
        wanted = replace(
            request,
            # The hub's extra_claims are not known here. A claim that several users have is shared by design.
            template_name=claim,
            scope=Scope.EVERYBODY if len(hub.holders.get(claim, ())) > 1 else Scope.SERVER,
            remembered_name=claim,
            legacy_names=(),
        )
        yield _finding(f"{subject}, {name}", choose_extra(wanted, name, lookup), claim)


def _finding(subject: str, choice: HomeChoice, remembered: str | None) -> Finding:
    match choice:
        case UseExisting(name=name, claim=claim) if trouble := _trouble(claim):
            return wrong(
                CHECK,
                subject,
                f"{name}: {trouble}",
                advice="repair the claim before this server starts: see docs/howto/volumes.md",
            )
        case UseExisting(name=name, why=why) if remembered in {None, name}:
            status = Status.NOTED if why in {Why.LEGACY, Why.ANNOTATED} else Status.FINE
            return Finding(check=CHECK, subject=subject, status=status, message=f"{name}: {why}")
        case UseExisting(name=name, why=why):
            return noted(
                CHECK,
                subject,
                f"{name}: {why}; the saved state names {remembered}, which is gone or belongs to another server",
            )
        case Create(name=name):
            return wrong(
                CHECK,
                subject,
                f"the saved state names {remembered}, which does not exist: the next start would create {name}, empty",
                advice="restore the claim (see docs/howto/volumes.md), or start the server if you deleted it on purpose",
            )
        case Refuse(detail=detail):
            return wrong(
                CHECK, subject, detail, advice="correct the annotation of the claim before this server starts"
            )
        case _:
            assert_never(choice)


def _trouble(claim: Raw) -> str:
    """Return what is wrong with the claim; empty if nothing is."""
    if is_terminating(claim):
        return "it is being deleted; the next start would create an empty one"
    if phase_of(claim) == "Lost":
        return "its volume is gone (Lost); the server cannot start"
    return ""


def _request(user: User, servername: str, states: Mapping[str, SavedState], hub: HubRecords) -> HomeRequest:
    settings, template = hub.settings, hub.settings.claim_template
    names = _names(user.name, servername, settings)
    others = (state.claims for name, state in states.items() if name != servername)
    return HomeRequest(
        identity=_identity(user.name, servername, settings),
        template_name=expand(template, names),
        scope=scope_of(template),
        remembered_name=states[servername].pvc_name if settings.remember_pvc_name else None,
        legacy_names=legacy_names(template, names) if settings.handle_legacy_names else (),
        taken=frozenset().union(*others),
        known_since=user.created,
        living_users=hub.since,
        taken_by_others=HeldByOthers(username=user.name, holders=hub.holders),
    )


def _states(user: User) -> Mapping[str, SavedState]:
    """Return the saved states of a user's servers by name, the default server first, even if it never ran."""
    states = {server.name: SavedState.load(server.state or {}) for server in user.servers or ()}
    return {"": SavedState.load({}), **states}


def _identity(username: str, servername: str, settings: Settings) -> ServerIdentity:
    return ServerIdentity(
        namespace=settings.namespace,
        username=username,
        servername=servername,
        release_labels=settings.release_labels,
    )


def _names(username: str, servername: str, settings: Settings) -> Names:
    return Names.of(
        username=username,
        servername=servername,
        userid=UNKNOWN_NUMBER,
        hub_namespace=settings.namespace,
        scheme=settings.slug_scheme,
    )


def _is_here(state: SavedState, settings: Settings) -> bool:
    """Return whether the server is in the examined namespace; a server that never ran is."""
    return state.namespace in {None, settings.namespace}


def _listed(namespaces: Iterable[str]) -> str:
    """Return the first namespace and the number of others: each user may have one."""
    first, *others = sorted(namespaces)
    return first if not others else f"{first} and {len(others)} more"
