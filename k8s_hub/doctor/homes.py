"""Homes: which claim each server would get at its next start, decided as the spawner decides; nothing is touched."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from k8s_hub.claims.home import Create, HomeChoice, HomeRequest, Refuse, UseExisting, Why, choose_home
from k8s_hub.claims.legacy import legacy_names
from k8s_hub.claims.lookup import usernames_of
from k8s_hub.doctor.findings import Finding, Status
from k8s_hub.hub.users import User
from k8s_hub.naming.ownership import ServerIdentity
from k8s_hub.naming.templates import Names, expand, names_of, scope_of
from k8s_hub.objects.keys import Key, is_dying, key_of
from k8s_hub.objects.raw import Raw

CHECK = "homes"
UNKNOWN_NUMBER = "?"
"""The REST API does not tell users' numbers; no claim or pod of a template with {userid} has this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the hub is configured with."""

    namespace: str
    release_labels: Mapping[str, str]
    claim_template: str
    pod_template: str


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
class Hub:
    """What the hub says of all users."""

    settings: Settings
    since: Mapping[str, datetime]
    """When it came to know each user, where it says so."""
    held: Mapping[str, Mapping[str, str]]
    """The claims in the saved states, by user and server."""
    holders: Mapping[str, Collection[str]]
    """The users in whose saved states a claim is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldByOthers:
    """The claims that other users' servers have in their saved state."""

    username: str
    holders: Mapping[str, Collection[str]]

    def __contains__(self, name: object) -> bool:
        return any(holder != self.username for holder in self.holders.get(str(name), ()))


def what_is_known(users: Sequence[User], settings: Settings) -> Hub:
    """Return what the hub says of all users; the states must be visible."""
    held, holders = {}, defaultdict[str, set[str]](set)
    for user in users:
        states = {server.name: server.state or {} for server in user.servers or ()}
        held[user.name] = {
            name: str(state["pvc_name"]) for name, state in states.items() if state.get("pvc_name")
        }
        for claim in held[user.name].values():
            holders[claim].add(user.name)
    since = {user.name: user.created for user in users if user.created}
    return Hub(settings=settings, since=since, held=held, holders=holders)


def servers_of(users: Iterable[User], settings: Settings) -> Iterator[tuple[ServerIdentity, str]]:
    """Yield each server of the hub, every user's default server among them, with the name of its pod."""
    for user in users:
        for servername in _servernames(user):
            remembered = _state(user, servername).get("pod_name")
            name = remembered or expand(settings.pod_template, _names(user.name, servername, settings))
            yield _identity(user.name, servername, settings), str(name)


def judge(users: Sequence[User], claims: Sequence[Raw], settings: Settings) -> Iterator[Finding]:
    """Say of each server that has run or has a claim which one it gets; the users' states must be visible."""
    lookup, hub = indexed(claims), what_is_known(users, settings)
    found = 0
    for user in users:
        for servername in _servernames(user):
            request = _request(user, servername, hub)
            choice = choose_home(request, lookup)
            if isinstance(choice, Create) and request.remembered_name is None:
                continue  # it has none yet, and gets its first
            found += 1
            subject = f"{user.name}/{servername}" if servername else user.name
            yield _finding(subject, choice, request.remembered_name)
    if not found:
        yield Finding(check=CHECK, subject="claims", status=Status.FINE, message="no server has one yet")


def _finding(subject: str, choice: HomeChoice, remembered: str | None) -> Finding:
    match choice:
        case UseExisting(name=name, claim=claim) if trouble := _trouble(claim):
            return Finding(
                check=CHECK,
                subject=subject,
                status=Status.WRONG,
                message=f"{name}: {trouble}",
                advice="see the page on volumes before this server starts",
            )
        case UseExisting(name=name, why=why) if remembered in {None, name}:
            status = Status.NOTED if why in {Why.LEGACY, Why.ANNOTATED} else Status.FINE
            return Finding(check=CHECK, subject=subject, status=status, message=f"{name}: {why}")
        case UseExisting(name=name, why=why):
            return Finding(
                check=CHECK,
                subject=subject,
                status=Status.NOTED,
                message=f"{name}: {why}; its saved state names {remembered}, which is gone or not its own",
            )
        case Create(name=name):
            return Finding(
                check=CHECK,
                subject=subject,
                status=Status.WRONG,
                message=f"{remembered}, which its saved state names, is not there: it would get {name}, which is empty",
                advice="restore the claim, see the page on volumes; if it was deleted on purpose, start the server",
            )
        case Refuse(detail=detail):
            return Finding(
                check=CHECK,
                subject=subject,
                status=Status.WRONG,
                message=detail,
                advice="correct the annotation of the claim before this server starts",
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


def _request(user: User, servername: str, hub: Hub) -> HomeRequest:
    template, names = hub.settings.claim_template, _names(user.name, servername, hub.settings)
    held = hub.held[user.name]
    return HomeRequest(
        identity=_identity(user.name, servername, hub.settings),
        template_name=expand(template, names),
        scope=scope_of(template),
        remembered_name=held.get(servername),
        legacy_names=legacy_names(template, names),
        taken={claim for server, claim in held.items() if server != servername},
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
    return names_of(
        username=username, servername=servername, userid=UNKNOWN_NUMBER, hub_namespace=settings.namespace
    )


def _state(user: User, servername: str) -> Raw:
    server = user.server(servername)
    return (server.state or {}) if server is not None else {}
