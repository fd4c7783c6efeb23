"""Homes: which claims each server would get at its next start, decided as the spawner decides; nothing is touched."""

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
from k8s_hub.claims.lookup import usernames_of
from k8s_hub.claims.saved_state import SavedState
from k8s_hub.doctor.checks.findings import Finding, Status, fine, noted, unknown, wrong
from k8s_hub.hub.users import User
from k8s_hub.naming.ownership import ServerIdentity
from k8s_hub.naming.templates import Names, Scope, SlugScheme, expand, scope_of
from k8s_hub.objects.keys import Key, is_dying, key_of
from k8s_hub.objects.raw import Raw

CHECK = "homes"
UNKNOWN_NUMBER = "?"
"""The REST API does not have users' numbers; no claim or pod of a template with {userid} has this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the hub is configured with; from the templates on, as the options of KubeSpawner are."""

    namespace: str
    release_labels: Mapping[str, str]
    claim_template: str
    pod_template: str
    slug_scheme: SlugScheme = SlugScheme.SAFE
    remember_pvc_name: bool = True
    handle_legacy_names: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The claims of a namespace, found by name and by user."""

    by_key: Mapping[Key, Raw]
    by_user: Mapping[Hashable, Sequence[Raw]]

    def get(self, key: Key, /) -> Raw | None:
        """Return the claim of that name."""
        return self.by_key.get(key)

    def find(self, value: Hashable, /) -> Iterable[Raw]:
        """Return the claims that are annotated for the user of that name."""
        return self.by_user.get(value, ())


def indexed(claims: Iterable[Raw]) -> Claims:
    """Return the claims as the choice of a home asks for them."""
    by_key, by_user = {}, defaultdict[Hashable, list[Raw]](list)
    for claim in claims:
        by_key[key_of(claim)] = claim
        for username in usernames_of(claim):
            by_user[username].append(claim)
    return Claims(by_key=by_key, by_user=by_user)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRecords:
    """What the hub says of all users."""

    settings: Settings
    since: Mapping[str, datetime]
    """When it came to know each user, where it says so."""
    states: Mapping[str, Mapping[str, SavedState]]
    """The saved states, by user and server."""
    holders: Mapping[str, Collection[str]]
    """The users in whose saved states a claim is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldByOthers:
    """The claims that other users' servers have in their saved state."""

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
    """Of the pod it ran in last; by this one it is known although its user was renamed. Empty before the first."""


def hub_records(users: Sequence[User], settings: Settings) -> HubRecords:
    """Return what the hub says of all users; the states must be visible."""
    states, holders = {}, defaultdict[str, set[str]](set)
    for user in users:
        states[user.name] = {
            server.name: SavedState.load(server.state or {}) for server in user.servers or ()
        }
        for state in states[user.name].values():
            for claim in state.claims if _is_here(state, settings) else ():
                holders[claim].add(user.name)
    since = {user.name: user.created for user in users if user.created}
    return HubRecords(settings=settings, since=since, states=states, holders=holders)


def expected_pods(users: Iterable[User], settings: Settings) -> Iterator[ExpectedPod]:
    """Yield the pod of each server of the hub, of every user's default server too, in the namespace."""
    for user in users:
        for servername in _servernames(user):
            state = _state(user, servername)
            if _is_here(state, settings):
                name = state.pod_name or expand(
                    settings.pod_template, _names(user.name, servername, settings)
                )
                identity = _identity(user.name, servername, settings)
                yield ExpectedPod(identity=identity, name=name, uid=state.pod_uid or "")


def check_claims(users: Sequence[User], claims: Sequence[Raw], settings: Settings) -> Iterator[Finding]:
    """Say of each server that has run or has a claim which ones it gets; the users' states must be visible."""
    lookup, hub = indexed(claims), hub_records(users, settings)
    found, elsewhere = 0, set[str]()
    for user in users:
        for servername in _servernames(user):
            state = _state(user, servername)
            if not _is_here(state, settings):
                elsewhere.add(str(state.namespace))
                continue
            for finding in _of_server(_request(user, servername, hub), lookup, hub):
                found += 1
                yield finding
    if elsewhere:
        yield unknown(
            CHECK,
            "other namespaces",
            f"not seen: servers are in {_listed(elsewhere)}, by their saved state",
            advice="run it with --namespace for each of them",
        )
    elif not found:
        yield fine(CHECK, "claims", "no server has one yet")


def _of_server(request: HomeRequest, lookup: Claims, hub: HubRecords) -> Iterator[Finding]:
    """Yield the finding of a server's home, and those of the claims it has besides, by their names."""
    username, servername = request.identity.username, request.identity.servername
    subject = f"{username}/{servername}" if servername else username
    choice = choose_home(request, lookup)
    if not isinstance(choice, Create) or request.remembered_name is not None:  # else it gets its first
        yield _finding(subject, choice, request.remembered_name)
    if not hub.settings.remember_pvc_name:
        return
    state = hub.states[username].get(servername, SavedState())
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
                advice="see the page on volumes before this server starts",
            )
        case UseExisting(name=name, why=why) if remembered in {None, name}:
            status = Status.NOTED if why in {Why.LEGACY, Why.ANNOTATED} else Status.FINE
            return Finding(check=CHECK, subject=subject, status=status, message=f"{name}: {why}")
        case UseExisting(name=name, why=why):
            return noted(
                CHECK,
                subject,
                f"{name}: {why}; its saved state names {remembered}, which is gone or not its own",
            )
        case Create(name=name):
            return wrong(
                CHECK,
                subject,
                f"{remembered}, which its saved state names, is not there: it would get {name}, new and empty",
                advice="restore the claim, see the page on volumes; if it was deleted on purpose, start the server",
            )
        case Refuse(detail=detail):
            return wrong(
                CHECK, subject, detail, advice="correct the annotation of the claim before this server starts"
            )
        case _:
            assert_never(choice)


def _trouble(claim: Raw) -> str:
    """Say what is wrong with a claim as it is; empty where nothing is."""
    if is_dying(claim):
        return "it is being deleted, and the server would then get an empty one"
    if (claim.get("status") or {}).get("phase") == "Lost":
        return "its volume is gone (Lost), so the server cannot start"
    return ""


def _request(user: User, servername: str, hub: HubRecords) -> HomeRequest:
    settings, template = hub.settings, hub.settings.claim_template
    names, states = _names(user.name, servername, settings), hub.states[user.name]
    others = (state.claims for name, state in states.items() if name != servername)
    return HomeRequest(
        identity=_identity(user.name, servername, settings),
        template_name=expand(template, names),
        scope=scope_of(template),
        remembered_name=states[servername].pvc_name
        if settings.remember_pvc_name and servername in states
        else None,
        legacy_names=legacy_names(template, names) if settings.handle_legacy_names else (),
        taken=frozenset().union(*others),
        known_since=user.created,
        living_users=hub.since,
        taken_by_others=HeldByOthers(username=user.name, holders=hub.holders),
    )


def _servernames(user: User) -> Iterable[str]:
    """Return the names of a user's servers, the default server's first, whether it ever ran or not."""
    return dict.fromkeys(["", *(server.name for server in user.servers or ())])


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


def _state(user: User, servername: str) -> SavedState:
    server = user.server(servername)
    return SavedState.load((server.state or {}) if server is not None else {})


def _is_here(state: SavedState, settings: Settings) -> bool:
    """Return whether a server is in the namespace that is looked at, as one is that never ran."""
    return state.namespace in {None, settings.namespace}


def _listed(namespaces: Iterable[str]) -> str:
    """Return the first few, because each user may have one."""
    first, *others = sorted(namespaces)
    return first if not others else f"{first} and {len(others)} more"
