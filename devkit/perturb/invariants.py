"""What must hold of one user's server, whatever was killed: pure functions of what an observer saw and what the hub says.

The observer follows the API server past the fault proxy; neither hub nor spawner is trusted.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from k8s_hub.claims.placement import mounted_claims
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import annotations_of, is_terminating, key_of, uid_of
from k8s_hub.objects.raw import Raw

PODS, CLAIMS, SECRETS, SERVICES = "pods", "persistentvolumeclaims", "secrets", "services"
OWNED = (PODS, SECRETS, SERVICES)
"""What goes with its server."""


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch."""

    plural: str
    #: ADDED, MODIFIED or DELETED.
    type: str
    obj: Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One user with one server."""

    #: Every name that the user has had.
    names: frozenset[str]
    may_delete_claims: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the hub says of the server."""

    #: "ready", "stopped", "no user", or what is pending.
    state: str
    #: The target of its route; None without one.
    target: str | None = None


STOPPED = frozenset({"stopped", "no user"})


@dataclass(frozen=True, slots=True)
class Violation:
    """One invariant that does not hold."""

    invariant: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.detail}"


def of_user(history: Iterable[Change], names: frozenset[str]) -> Iterator[Change]:
    """Yield the changes of a user's objects."""
    return (change for change in history if annotations_of(change.obj).get(USERNAME_ANNOTATION) in names)


def present(history: Iterable[Change]) -> dict[str, list[Raw]]:
    """Return the objects that exist at the end, by plural."""
    last = {(change.plural, uid_of(change.obj)): change for change in history}
    found = defaultdict[str, list[Raw]](list)
    for (plural, _), change in last.items():
        if change.type != "DELETED":
            found[plural].append(change.obj)
    return found


def always(history: Sequence[Change], trial: Trial) -> list[Violation]:
    """Return what was wrong at any time."""
    own = list(of_user(history, trial.names))
    return [*_two_pods(own), *_two_claims(own), *(() if trial.may_delete_claims else _claims_deleted(own))]


def in_the_end(history: Sequence[Change], trial: Trial, told: Told) -> list[Violation]:
    """Return what is wrong now; it may be right a moment later."""
    now = present(of_user(history, trial.names))
    if told.state in STOPPED:
        return [
            Violation("without a server", f"the hub says {told.state!r}: {plural} {_named(obj)} is there")
            for plural in OWNED
            for obj in now[plural]
        ]
    if told.state != "ready":
        return [Violation("the hub disagrees", f"it says {told.state!r}")]
    return list(_of_ready_server(now, told))


def survived(told: Told) -> list[Violation]:
    """Return what is wrong after the hub died in a start whose pod was there."""
    if told.state == "ready":
        return []
    return [Violation("the start was lost", f"its pod was there, and the hub says {told.state!r}")]


def with_its_home(history: Sequence[Change], trial: Trial) -> list[Violation]:
    """Return what is wrong with the volumes of the pod that runs now."""
    now = present(of_user(history, trial.names))
    own = {key_of(claim) for claim in now[CLAIMS]}
    mounted = {key_of(pod)._replace(name=name) for pod in now[PODS] for name in mounted_claims(pod)}
    if mounted == own and own:
        return []
    return [Violation("another home", f"the pod mounts {_keys(mounted)}, the user has {_keys(own)}")]


def of_others(history: Iterable[Change], may_delete: Iterable[str]) -> list[Violation]:
    """Return the claims that were deleted of anybody but these users."""
    users = frozenset(may_delete)
    return _claims_deleted(
        [change for change in history if annotations_of(change.obj).get(USERNAME_ANNOTATION) not in users]
    )


def _of_ready_server(now: Mapping[str, Sequence[Raw]], told: Told) -> Iterator[Violation]:
    pods = now.get(PODS, ())
    if len(pods) != 1:
        yield Violation(
            "the hub disagrees", f"it says 'ready', and the pods are {[_named(pod) for pod in pods]}"
        )
        return
    (pod,) = pods
    status: Mapping[str, Any] = pod.get("status") or {}
    if is_terminating(pod) or status.get("phase") != "Running":
        yield Violation(
            "the hub disagrees", f"it says 'ready', and {_named(pod)} is {status.get('phase')} or dying"
        )
    elif urlsplit(told.target or "").hostname != status.get("podIP"):
        yield Violation(
            "the hub disagrees", f"its route is {told.target}, and {_named(pod)} has {status.get('podIP')}"
        )


def _two_pods(own: Iterable[Change]) -> list[Violation]:
    there: dict[str, str] = {}
    seen: dict[frozenset[str], Violation] = {}
    for change in own:
        if change.plural != PODS:
            continue
        uid = uid_of(change.obj)
        if change.type == "DELETED":
            there.pop(uid, None)
        else:
            there[uid] = _named(change.obj)
        if len(there) > 1:
            seen.setdefault(frozenset(there), Violation("two pods", f"at once: {sorted(there.values())}"))
    return list(seen.values())


def _two_claims(own: Iterable[Change]) -> list[Violation]:
    made = defaultdict[str, dict[str, str]](dict)
    for change in own:
        if change.plural == CLAIMS:
            extra = annotations_of(change.obj).get(EXTRA_CLAIM_ANNOTATION, "home")
            made[extra][uid_of(change.obj)] = _named(change.obj)
    return [
        Violation("two claims", f"of the {extra}: {sorted(claims.values())}")
        for extra, claims in made.items()
        if len(claims) > 1
    ]


def _claims_deleted(changes: Iterable[Change]) -> list[Violation]:
    gone = {
        uid_of(change.obj): _named(change.obj)
        for change in changes
        if change.plural == CLAIMS and (change.type == "DELETED" or is_terminating(change.obj))
    }
    return [Violation("a claim was deleted", name) for name in gone.values()]


def _named(obj: Raw) -> str:
    return f"{key_of(obj).name} (uid {uid_of(obj)[:8]})"


def _keys(keys: Iterable[object]) -> list[str]:
    return sorted(map(str, keys))
