"""Users and their servers, as the hub's REST API describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from k8s_hub.hub.errors import BadReply
from k8s_hub.objects import timestamps
from k8s_hub.objects.quoting import quoted
from k8s_hub.objects.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server that runs, starts or stops, or, where they were asked for, is stopped."""

    user: str
    name: str  # "" is the user's default server
    ready: bool
    pending: str | None  # "spawn", "stop", "check" or "rename"; None when nothing is under way
    started: datetime | None  # None: not known
    last_activity: datetime | None  # None: none was seen yet
    raw: Raw = field(repr=False, compare=False)  # the hub's own words, for hooks

    def __str__(self) -> str:
        return f"{self.user}/{self.name}" if self.name else self.user

    @property
    def state(self) -> Raw | None:
        """What its spawner saved, empty before its first start; None: hidden from the token."""
        if "state" not in self.raw:
            return None
        state = self.raw["state"]
        return state if isinstance(state, Mapping) else {}

    def age(self, now: datetime) -> timedelta | None:
        """Return the time since it was started; None where that is not known."""
        return None if self.started is None else now - self.started

    def idle_for(self, now: datetime) -> timedelta | None:
        """Return the time since its last activity, or since its start where there was none."""
        return self.age(now) if self.last_activity is None else now - self.last_activity


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One user and those of their servers that are not stopped, or, where they were asked for, all of them."""

    name: str
    admin: bool
    created: datetime | None  # None: not known, or hidden from the token
    last_activity: datetime | None  # None: none was seen yet, or hidden from the token
    servers: tuple[Server, ...] | None  # None: hidden, because the token lacks the scope read:servers
    groups: tuple[str, ...] | None = None  # None: hidden, because the token lacks the scope read:users:groups
    raw: Raw = field(default_factory=dict, repr=False, compare=False)  # the hub's own words, for hooks

    def age(self, now: datetime) -> timedelta | None:
        """Return the time since the user was created; None where that is not known."""
        return None if self.created is None else now - self.created

    def idle_for(self, now: datetime) -> timedelta | None:
        """Return the time since their last activity, or since their creation where there was none."""
        return self.age(now) if self.last_activity is None else now - self.last_activity

    def server(self, name: str) -> Server | None:
        """Return the server of this name; None where it is stopped or hidden."""
        return next((server for server in self.servers or () if server.name == name), None)


def user_of(raw: Any) -> User:
    """Read one user; raise BadReply where the hub's words make no sense."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("name"), str):
        raise BadReply("a user without a name")
    name = raw["name"]
    servers = raw.get("servers")
    if servers is not None and not isinstance(servers, Mapping):
        raise BadReply(f"user {name}: servers is {quoted(servers)}, not an object")
    return User(
        name=name,
        admin=bool(raw.get("admin")),
        created=_moment(raw, "created", f"user {name}"),
        last_activity=_moment(raw, "last_activity", f"user {name}"),
        servers=None
        if servers is None
        else tuple(_server(name, key, value) for key, value in servers.items()),
        groups=_groups(raw.get("groups"), name),
        raw=raw,
    )


def _groups(raw: Any, user: str) -> tuple[str, ...] | None:
    if raw is None:
        return None
    if not isinstance(raw, list) or not all(isinstance(group, str) for group in raw):
        raise BadReply(f"user {user}: groups is {quoted(raw)}, not a list of names")
    return tuple(raw)


def _server(user: str, name: str, raw: Any) -> Server:
    if not isinstance(raw, Mapping):
        raise BadReply(f"server {user}/{name}: {quoted(raw)} is not an object")
    pending = raw.get("pending") or None
    if pending is not None and not isinstance(pending, str):
        raise BadReply(f"server {user}/{name}: pending is {quoted(pending)}, not a word")
    return Server(
        user=user,
        name=name,
        ready=bool(raw.get("ready")),
        pending=pending,
        started=_moment(raw, "started", f"server {user}/{name}"),
        last_activity=_moment(raw, "last_activity", f"server {user}/{name}"),
        raw=raw,
    )


def _moment(raw: Raw, key: str, whose: str) -> datetime | None:
    text = raw.get(key)
    if text is None:
        return None
    try:
        return timestamps.parse(text)
    except (TypeError, ValueError):
        raise BadReply(f"{whose}: {key} is {quoted(text)}, not a time") from None
