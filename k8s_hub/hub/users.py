"""Users, servers, routes and scopes of the hub's REST API.

Users write some parts: ``user_options`` may be any JSON. Whatever is parsed here can safely be printed, compared and
written as JSON.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from k8s_hub.claims.saved_state import ACCESS_TOKEN
from k8s_hub.hub.errors import BadReply
from k8s_hub.objects import timestamps
from k8s_hub.objects.raw import Raw
from k8s_hub.text import printable, quoted

DEEPEST = 100
"""Levels of lists and objects in a server's description. Deeper ones are dropped, because json may fail on them."""


ServerKey = tuple[str, str]
"""A user's name and a server's name, which is "" for the default server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server that runs, starts or stops; a stopped one only if stopped servers were requested."""

    user: str
    name: str  # "" is the user's default server
    ready: bool
    pending: str | None  # "spawn", "stop", "check" or "rename"; None if nothing is pending
    started: datetime | None  # None: unknown
    last_activity: datetime | None  # None: no activity yet
    raw: Raw = field(repr=False, compare=False)  # the hub's JSON, for hooks; without the access token
    access_token: str | None = field(
        default=None, repr=False, compare=False
    )  # a token for this server; None: unknown

    def __str__(self) -> str:
        return printable(f"{self.user}/{self.name}" if self.name else self.user)

    @property
    def key(self) -> ServerKey:
        """The user's name and the server's name."""
        return self.user, self.name

    @property
    def state(self) -> Raw | None:
        """The spawner's saved state, empty before the first start; None: hidden from the token."""
        return state_in(self.raw)

    @property
    def is_stopped(self) -> bool:
        """Whether the server is stopped. The hub lists such servers only on request."""
        return bool(self.raw.get("stopped")) or not (self.ready or self.pending or self.raw.get("started"))

    def age(self, now: datetime) -> timedelta | None:
        """Return the time since the start; None if unknown."""
        return None if self.started is None else now - self.started

    def idle_for(self, now: datetime) -> timedelta | None:
        """Return the time since the last activity, or since the start without any."""
        return self.age(now) if self.last_activity is None else now - self.last_activity


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One user and their servers; stopped servers only if they were requested."""

    name: str
    admin: bool
    created: datetime | None  # None: unknown, or hidden from the token
    last_activity: datetime | None  # None: no activity yet, or hidden from the token
    servers: tuple[Server, ...] | None  # None: hidden, because the token lacks the scope read:servers
    groups: tuple[str, ...] | None = None  # None: hidden, because the token lacks the scope read:users:groups
    raw: Raw = field(default_factory=dict, repr=False, compare=False)  # the hub's JSON, for hooks

    def age(self, now: datetime) -> timedelta | None:
        """Return the time since the user was created; None if unknown."""
        return None if self.created is None else now - self.created

    def idle_for(self, now: datetime) -> timedelta | None:
        """Return the time since the last activity, or since the user's creation without any."""
        return self.age(now) if self.last_activity is None else now - self.last_activity

    def server(self, name: str) -> Server | None:
        """Return the server of this name; None if it is stopped or hidden."""
        return next((server for server in self.servers or () if server.name == name), None)


def without_stopped(user: User) -> tuple[User, tuple[str, ...]]:
    """Return the user without stopped servers, and the names of those; the default server "" always counts."""
    if user.servers is None:
        return user, ()
    running = tuple(server for server in user.servers if not server.is_stopped)
    names = {server.name for server in running}
    raw = {**user.raw, "servers": {server.name: server.raw for server in running}}
    stopped = tuple(sorted({"", *(server.name for server in user.servers)} - names))
    return replace(user, servers=running, raw=raw), stopped


def state_in(server: Raw) -> Raw | None:
    """Return the saved state in a server's JSON, empty before the first start; None: hidden."""
    if "state" not in server:
        return None
    state = server["state"]
    return state if isinstance(state, Mapping) else {}


def user_of(raw: Any) -> User:
    """Parse one user; raise BadReply for anything that the API does not return."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("name"), str):
        raise BadReply("a user without a name")
    name = raw["name"]
    servers = _servers(raw.get("servers"), name)
    own = raw if servers is None else {**raw, "servers": {server.name: server.raw for server in servers}}
    return User(
        name=name,
        admin=bool(raw.get("admin")),
        created=_moment(raw, "created", f"user {name}"),
        last_activity=_moment(raw, "last_activity", f"user {name}"),
        servers=servers,
        groups=_groups(raw.get("groups"), name),
        raw=own,
    )


def _groups(raw: Any, user: str) -> tuple[str, ...] | None:
    if raw is None:
        return None
    if not isinstance(raw, list) or not all(isinstance(group, str) for group in raw):
        raise BadReply(f"user {user}: groups is {quoted(raw)}, not a list of names")
    return tuple(raw)


def _servers(raw: Any, user: str) -> tuple[Server, ...] | None:
    if raw is None:
        return None
    if not isinstance(raw, Mapping):
        raise BadReply(f"user {user}: servers is {quoted(raw)}, not an object")
    return tuple(_server(user, name, value) for name, value in raw.items())


def _server(user: str, name: str, raw: Any) -> Server:
    if not isinstance(raw, Mapping):
        raise BadReply(f"server {user}/{name}: {quoted(raw)} is not an object")
    pending = raw.get("pending") or None
    if pending is not None and not isinstance(pending, str):
        raise BadReply(f"server {user}/{name}: pending is {quoted(pending)}, not a string")
    words, access_token = _without_token(_cut(raw, DEEPEST) if _is_deeper(raw, DEEPEST) else raw)
    return Server(
        user=user,
        name=name,
        ready=bool(raw.get("ready")),
        pending=pending,
        started=_moment(raw, "started", f"server {user}/{name}"),
        last_activity=_moment(raw, "last_activity", f"server {user}/{name}"),
        raw=words,
        access_token=access_token,
    )


def _without_token(raw: Raw) -> tuple[Raw, str | None]:
    """Return a server's JSON without its access token, to keep it from hooks, logs and pages; and the token."""
    state = raw.get("state")
    if not isinstance(state, Mapping) or ACCESS_TOKEN not in state:
        return raw, None
    token = state[ACCESS_TOKEN]
    is_token = isinstance(token, str) and token.isascii() and token.isprintable() and bool(token)
    left = {key: value for key, value in state.items() if key != ACCESS_TOKEN}
    return {**raw, "state": left}, token if is_token else None


def _is_deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        level = [
            item
            for each in level
            for item in (each.values() if isinstance(each, dict) else each)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def _cut(value: Any, levels: int) -> Any:
    """Return the value, cut at this many levels."""
    if not isinstance(value, dict | list):
        return value
    if levels == 0:
        return None
    if isinstance(value, dict):
        return {key: _cut(item, levels - 1) for key, item in value.items()}
    return [_cut(item, levels - 1) for item in value]


def _moment(raw: Raw, key: str, whose: str) -> datetime | None:
    """Parse a time; without an offset it is UTC, as in the hub's database."""
    text = raw.get(key)
    if text is None:
        return None
    try:
        return timestamps.parse(text, naive=UTC)
    except (TypeError, ValueError):
        raise BadReply(f"{whose}: {key} is {quoted(text)}, not a time") from None


class Packed(Mapping[str, Any]):
    """A JSON object kept as bytes, and decoded at each access to save memory. ``servers`` replaces its key of that name."""

    __slots__ = ("_servers", "_words")

    def __init__(self, words: Raw, servers: tuple[Server, ...] | None = None) -> None:
        self._words = json.dumps(words, separators=(",", ":")).encode()
        self._servers = servers

    def unpacked(self) -> dict[str, Any]:
        """Return the decoded object."""
        words: dict[str, Any] = json.loads(self._words)
        if self._servers is not None:
            words["servers"] = {server.name: unpacked(server.raw) for server in self._servers}
        return words

    def __getitem__(self, key: str) -> Any:
        return self.unpacked()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.unpacked())

    def __len__(self) -> int:
        return len(self.unpacked())


def packed(user: User) -> User:
    """Return the user with the JSON of user and servers packed."""
    servers = user.servers and tuple(replace(server, raw=Packed(server.raw)) for server in user.servers)
    own = {key: value for key, value in user.raw.items() if key != "servers"}
    return replace(user, servers=servers, raw=Packed(own, servers))


def unpacked(raw: Raw) -> dict[str, Any]:
    """Return the hub's JSON as a dictionary, packed or not."""
    return raw.unpacked() if isinstance(raw, Packed) else dict(raw)


# --- The proxy's routes ---


def routes_of(raw: Mapping[str, Any]) -> dict[ServerKey, str]:
    """Return each server's address, such as http://10.0.0.7:8888. Routes of services are skipped."""
    found: dict[ServerKey, str] = {}
    for route in raw.values():
        match route:
            case {"data": {"user": str(user), "server_name": str(name)}, "target": str(target)}:
                found[user, name] = target
    return found


# --- Scopes ---


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingScope:
    """A scope that a token lacks, or has only for some users, groups or servers."""

    name: str
    partly: tuple[str, ...] = ()  # the filtered scopes that the token has instead

    def __str__(self) -> str:
        return f"{self.name} (only {', '.join(self.partly)})" if self.partly else self.name


def missing_scopes(wanted: Iterable[str], has: Collection[str]) -> tuple[MissingScope, ...]:
    """Return the missing ones of the scopes ``wanted``, each once, in order.

    has: the result of `HubApi.scopes`, with implied scopes. A filtered scope, such as ``access:servers!user=ada``, does not
    count as the whole scope, unless the filtered one is wanted.
    """
    return tuple(
        MissingScope(name=name, partly=tuple(sorted(scope for scope in has if scope.startswith(f"{name}!"))))
        for name in dict.fromkeys(wanted)
        if name not in has and name.partition("!")[0] not in has
    )
