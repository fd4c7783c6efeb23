"""Which objects of spawners have no server: a pure function of what the hub knows and what the cluster has.

Read the objects first and the hub last: the hub knows of a start before the start creates anything.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from k8s_hub.claims.saved_state import SavedState
from k8s_hub.diagnosis.pod_life import Alive, is_ready_to_serve, judge_pod
from k8s_hub.hub.users import ServerKey, User
from k8s_hub.kube.core.resources import PODS, Resource
from k8s_hub.naming.ownership import (
    SERVERNAME_ANNOTATION,
    USERNAME_ANNOTATION,
    UserId,
    attempt_id_of,
    has_release,
    is_most_without_owner,
    releases_of,
    user_id_of,
)
from k8s_hub.objects import timestamps
from k8s_hub.objects.keys import (
    Key,
    annotations_of,
    is_terminating,
    key_of,
    metadata_of,
    owner_uids,
    phase_of,
    uid_of,
)
from k8s_hub.objects.raw import Raw
from k8s_hub.text import counted

GRACE = timedelta(minutes=5)
"""The age from which an object can be an orphan: longer than any gap between a start and the hub's record of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubServers:
    """The users and servers of a hub at one moment."""

    users: frozenset[str]
    #: All servers that the hub has, running or not.
    servers: frozenset[ServerKey]
    #: Those that run, start or stop, or may do so.
    active: frozenset[ServerKey]
    #: Servers by the uid of their pod, whose annotations keep the earlier name of a renamed user.
    by_pod_uid: Mapping[str, ServerKey]
    #: The names of the pods of active servers.
    active_pods: frozenset[Key]
    #: The ids of the last starts of active servers, as far as they are known.
    last_starts: Mapping[ServerKey, str] = field(default_factory=dict)

    @classmethod
    def of(cls, users: Iterable[User]) -> Self:
        """Return what the hub's REST API says of all users. Their servers must be complete and their states visible."""
        everybody = tuple(users)
        servers = {server.key: server for user in everybody for server in user.servers or ()}
        states = {key: SavedState.load(server.state) for key, server in servers.items()}
        active = frozenset(key for key, server in servers.items() if not server.is_stopped)
        return cls(
            users=frozenset(user.name for user in everybody),
            servers=frozenset(servers),
            active=active,
            by_pod_uid={state.pod_uid: key for key, state in states.items() if state.pod_uid},
            active_pods=frozenset(
                Key(states[key].namespace or "", states[key].pod_name or "") for key in active
            ),
        )


NO_SERVERS = HubServers(
    users=frozenset(), servers=frozenset(), active=frozenset(), by_pod_uid={}, active_pods=frozenset()
)
"""In the place of a hub's, where they decide about nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one object is judged by."""

    hub: HubServers
    #: The hub's own release labels; empty outside a Helm release.
    release_labels: Mapping[str, str]
    #: The uids of all pods: the objects that a pod owns go with it.
    pod_uids: Collection[str]
    #: Aware, UTC.
    now: datetime
    #: The uids of running pods that the hub may still adopt: they are no orphans yet.
    adoptable: Collection[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """One object without a server."""

    resource: Resource
    obj: Raw = field(repr=False)
    #: The server that it was made for.
    server: ServerKey
    #: Completes "it has no server: ...".
    cause: str
    #: Why it must not be removed without a person's look; None: it can be removed.
    doubt: str | None

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.key}"

    @property
    def key(self) -> Key:
        """Its namespace and name."""
        return key_of(self.obj)

    @property
    def uid(self) -> str:
        """Its uid, by which it is removed."""
        return uid_of(self.obj)

    @property
    def has_ended(self) -> bool:
        """True for a pod whose containers have all ended for good: its removal loses no work."""
        return _has_ended(self.resource, self.obj)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The orphans among many objects."""

    orphans: tuple[Orphan, ...]
    #: How many objects of the hub there are, orphans included, without pods that have ended.
    total: int


def find_orphans(objects: Iterable[tuple[Resource, Raw]], facts: Facts) -> Findings:
    """Judge all objects."""
    orphans: list[Orphan] = []
    total = 0
    for resource, obj in objects:
        if _is_of_hub(resource, obj, facts):
            total += not _has_ended(resource, obj)
            orphan = _judge(resource, obj, facts)
            if orphan is not None:
                orphans.append(orphan)
    return Findings(orphans=tuple(orphans), total=total)


def judge(resource: Resource, obj: Raw, facts: Facts) -> Orphan | None:
    """Judge one object; None: it is no orphan, or not of this hub."""
    return _judge(resource, obj, facts) if _is_of_hub(resource, obj, facts) else None


def may_be_orphan(resource: Resource, obj: Raw, facts: Facts) -> bool:
    """Tell whether the hub's servers decide about an object; False: it is no orphan, whatever servers the hub has."""
    return _is_of_hub(resource, obj, facts) and _has_no_other_end(resource, obj, facts)


def find_lost(
    pods: Iterable[Raw], facts: Facts, name_of: Callable[[UserId], str | None]
) -> list[tuple[Raw, ServerKey]]:
    """Return the pods that live although the hub has no server for them, has stopped it, or knows of another start only.

    ``name_of`` returns the current name of a user. Only pods that were certainly made for one of them count. Those
    that serve come first, then the youngest.
    """
    found: list[tuple[Raw, ServerKey]] = []
    for pod in pods:
        user_id = user_id_of(pod)
        username = None if user_id is None else name_of(user_id)
        if username is None or not _is_of_hub(PODS, pod, facts):
            continue
        server = (username, annotations_of(pod).get(SERVERNAME_ANNOTATION, ""))
        if _is_lost(pod, server, facts.hub) and isinstance(judge_pod(pod), Alive):
            found.append((pod, server))
    return sorted(
        found,
        key=lambda each: (is_ready_to_serve(each[0]), str(metadata_of(each[0]).get("creationTimestamp"))),
        reverse=True,
    )


def _is_lost(pod: Raw, server: ServerKey, hub: HubServers) -> bool:
    if server in hub.active:
        known = hub.last_starts.get(server)
        return known is not None and attempt_id_of(pod) != known
    return key_of(pod) not in hub.active_pods


def doubt_about_the_whole(candidates: Sequence[Orphan], total: int, hub: HubServers) -> str | None:
    """Return a reason to remove nothing at all: the hub may have lost its database, or be another one."""
    if not hub.users:
        return "the hub has no users"
    count = sum(not orphan.has_ended for orphan in candidates)
    if is_most_without_owner(count, total):
        return f"{count} of the hub's {counted(total, 'object')} have no server: the hub may have lost its database"
    return None


def _is_of_hub(resource: Resource, obj: Raw, facts: Facts) -> bool:
    """True unless the object certainly belongs to another release, or no spawner created it."""
    annotations = annotations_of(obj)
    return (
        USERNAME_ANNOTATION in annotations
        # People make Secrets and Services of their own for a user; KubeSpawner's pods have no attempt id.
        and (resource is PODS or attempt_id_of(obj) is not None)
        and has_release(obj, facts.release_labels) is not False
    )


def _has_no_other_end(resource: Resource, obj: Raw, facts: Facts) -> bool:
    """Tell whether it is old, is not being deleted, and is not owned by a pod that exists."""
    is_left = not is_terminating(obj) and _is_old(obj, facts.now)
    return is_left and (resource is PODS or owner_uids(obj).isdisjoint(facts.pod_uids))


def _judge(resource: Resource, obj: Raw, facts: Facts) -> Orphan | None:
    if not _has_no_other_end(resource, obj, facts):
        return None
    if uid_of(obj) in facts.adoptable and not _has_ended(resource, obj):
        return None
    server = _server_of(obj, owner_uids(obj), facts.hub)
    if server in facts.hub.active or (resource is PODS and key_of(obj) in facts.hub.active_pods):
        return None
    return Orphan(
        resource=resource,
        obj=obj,
        server=server,
        cause=_cause(server, facts.hub),
        doubt=_doubt(obj, server, facts),
    )


def _server_of(obj: Raw, owners: Iterable[str], hub: HubServers) -> ServerKey:
    """Return the server that the hub knows by the pod's uid, else the one in the annotations."""
    known = (hub.by_pod_uid[uid] for uid in (uid_of(obj), *owners) if uid in hub.by_pod_uid)
    annotations = annotations_of(obj)
    return next(known, (annotations[USERNAME_ANNOTATION], annotations.get(SERVERNAME_ANNOTATION, "")))


def _cause(server: ServerKey, hub: HubServers) -> str:
    username, servername = server
    if username not in hub.users:
        return f"the hub has no user {username!r}"
    if servername and server not in hub.servers:
        return f"the hub has no server {username}/{servername}"
    return f"the hub has stopped the server {username}/{servername}".removesuffix("/")


def _doubt(obj: Raw, server: ServerKey, facts: Facts) -> str | None:
    if not facts.release_labels and (releases := releases_of(obj)):
        return (
            f"it may belong to another hub, because its labels name the release {', '.join(sorted(releases))}"
        )
    if server[0] not in facts.hub.users and has_release(obj, facts.release_labels) is None:
        return "it may belong to another hub, because its labels do not name the hub's release"
    return None


def _is_old(obj: Raw, now: datetime) -> bool:
    try:
        return timestamps.parse(metadata_of(obj)["creationTimestamp"]) <= now - GRACE
    except (KeyError, TypeError, ValueError):  # the age is unknown
        return False


def _has_ended(resource: Resource, obj: Raw) -> bool:
    return resource is PODS and phase_of(obj) in {"Failed", "Succeeded"}
