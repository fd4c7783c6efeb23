"""What a campaign writes down, as JSON lines: all that the judge knows. Times are seconds since 1970."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote

from k8s_hub.clock import utcnow
from k8s_hub.naming.ownership import ATTEMPT_ANNOTATION, SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import annotations_of

RELEASE = "app.kubernetes.io/instance"
HUB, OTHER_HUB = "hub", "other-hub"
"""The ServiceAccounts of the hub and of a hub of another release, which has that name."""
_PERSON = re.compile(r"u\d+")


def now() -> float:
    """Return the current time."""
    return utcnow().timestamp()


def server_key(username: str, servername: str) -> str:
    """Return the one key of a server, also after its user was renamed: all names of a person begin alike."""
    person = _PERSON.match(username)
    return f"{person[0] if person else username}/{servername}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """When and with which options a campaign began."""

    at: float
    seed: int
    minutes: float
    users: int
    spawner: str
    hub: int
    #: Seconds; of the culler and of a start.
    idle_timeout: float
    cull_every: float
    start_timeout: float
    #: What runs it again.
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one user asked the hub for."""

    begin: float
    end: float
    #: start, stop, cancel, remove, rename, delete, create, look, nonsense or activity.
    verb: str
    server: str
    #: None: the hub did not answer.
    status: int | None
    #: Of a start: "ready", "failed", "cancelled", or "lost" where the hub did not say. Else "".
    outcome: str = ""
    #: The hub's words for it.
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of an object in the namespace, as an observer saw it past the fault proxy."""

    at: float
    #: ADDED, MODIFIED or DELETED.
    kind: str
    #: pods, persistentvolumeclaims, secrets or services.
    resource: str
    name: str
    uid: str
    #: "" for an object of no server.
    server: str
    release: str
    version: str
    phase: str = ""
    is_ready: bool = False
    is_terminating: bool = False
    address: str = ""
    #: The uids of its owners.
    owners: tuple[str, ...] = ()
    attempt: str = ""

    @property
    def is_over(self) -> bool:
        """True for a pod that is gone or has ended."""
        return self.kind == "DELETED" or self.phase in {"Failed", "Succeeded"}

    @property
    def is_alive(self) -> bool:
        """True for a pod that is neither being deleted nor over."""
        return not self.is_terminating and not self.is_over


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the hub shows at one moment."""

    at: float
    #: None: it did not answer. By server: "ready", "stopped", or what is pending.
    servers: dict[str, str] | None
    #: The targets of the proxy's routes by server; None: not known.
    routes: dict[str, str] | None = None
    #: The share of the time since the last sample in which the hub waited for a processor.
    starved: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault, from its first effect to the last."""

    kind: str
    begin: float
    end: float
    #: What it did, for the reader.
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubEnd:
    """The hub's process ended by itself."""

    at: float
    last_words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cull:
    """The hub took a culler's request to stop a server."""

    at: float
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request of a hub in the API server's audit log."""

    at: float
    verb: str
    resource: str
    name: str
    code: int
    #: The ServiceAccount of the hub.
    account: str = HUB


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A secret was found where it must not be."""

    secret: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A claim that was marked, as it was at the end."""

    server: str
    name: str
    #: "there", or what is wrong.
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The load ended at `load`; peace lasted until `at`."""

    load: float
    at: float


Event = Start | Operation | Change | Sample | Fault | HubEnd | Cull | Request | Leak | Canary | End
EVENTS: dict[str, Callable[..., Event]] = {
    each.__name__: each
    for each in (Start, Operation, Change, Sample, Fault, HubEnd, Cull, Request, Leak, Canary, End)
}


class Recorder:
    """Writes events to a file, and keeps them."""

    def __init__(self, file: TextIO) -> None:
        self.events: list[Event] = []
        self._file = file

    def add(self, event: Event) -> None:
        """Write an event."""
        self.events.append(event)
        self._file.write(json.dumps({"event": type(event).__name__, **asdict(event)}) + "\n")


def read(path: Path) -> list[Event]:
    """Read what a recorder wrote."""
    return [_event(json.loads(line)) for line in path.read_text().splitlines()]


def _event(line: dict[str, Any]) -> Event:
    kind = line.pop("event")
    return EVENTS[kind](**{key: tuple(value) if key == "owners" else value for key, value in line.items()})


def change_of(at: float, kind: str, resource: str, obj: dict[str, Any]) -> Change:
    """Return what the judge needs of an object."""
    metadata, status = obj["metadata"], obj.get("status", {})
    annotations = annotations_of(obj)
    username = annotations.get(USERNAME_ANNOTATION, "")
    conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
    return Change(
        at=at,
        kind=kind,
        resource=resource,
        name=metadata["name"],
        uid=metadata["uid"],
        server=server_key(username, annotations.get(SERVERNAME_ANNOTATION, "")) if username else "",
        release=metadata.get("labels", {}).get(RELEASE, ""),
        version=metadata["resourceVersion"],
        phase=status.get("phase", ""),
        is_ready=conditions.get("Ready") == "True",
        is_terminating="deletionTimestamp" in metadata,
        address=status.get("podIP", ""),
        owners=tuple(owner["uid"] for owner in metadata.get("ownerReferences", ())),
        attempt=annotations.get(ATTEMPT_ANNOTATION, ""),
    )


_CULL = re.compile(
    r"^\[\w (?P<at>\S+ \S+) JupyterHub log:\d+\] 20[24] DELETE /hub/api/users/(?P<user>[^/ ]+)"
    r"/(?:server|servers/(?P<server>\S+)) \(culler@"
)


def culls_in(hub_log: Iterable[str]) -> Iterator[Cull]:
    """Return the stops that the hub's log says a culler asked for."""
    for line in hub_log:
        found = _CULL.match(line)
        if found:
            at = datetime.strptime(found["at"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
            yield Cull(
                at=at.timestamp(), server=server_key(unquote(found["user"]), unquote(found["server"] or ""))
            )


def requests_in(audit_log: Iterable[str], namespace: str) -> Iterator[Request]:
    """Return the requests of the hubs' accounts; a watch appears at its start and at its end."""
    for line in audit_log:
        event = json.loads(line)
        place, _, account = event["user"]["username"].rpartition(":")
        if place == f"system:serviceaccount:{namespace}" and account in {HUB, OTHER_HUB}:
            target = event.get("objectRef", {})
            yield Request(
                at=datetime.fromisoformat(event["stageTimestamp"]).timestamp(),
                verb=event["verb"],
                resource=target.get("resource", ""),
                name=target.get("name", ""),
                code=event.get("responseStatus", {}).get("code", 0),
                account=account,
            )
