"""Pure parts of asking servers: whom to ask, at which address, and how to read the answers."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from string import Formatter
from typing import Any
from urllib.parse import SplitResult, urlsplit

from k8s_hub.claims.saved_state import SavedState
from k8s_hub.culler.core.mistakes import BadOption
from k8s_hub.culler.core.policy import EARLIEST, Cause, Facts, Work, evaluate
from k8s_hub.culler.core.rules import Limits
from k8s_hub.hub.users import Server, ServerKey
from k8s_hub.naming import templates
from k8s_hub.objects import timestamps
from k8s_hub.text import has_credentials, is_http_url, quoted

OF_THE_STATE = frozenset({"pod_name", "namespace"})
OF_THE_NAMES = frozenset(
    {
        *("username", "servername", "user_server"),
        *("safe_username", "safe_servername", "safe_user_server"),
        *("escaped_username", "escaped_servername", "escaped_user_server"),
    }
)
"""No unescaped name: a user must not choose the host that gets the culler's token."""

HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A checked template of addresses, such as ``http://{pod_name}.{namespace}.svc:8888``."""

    scheme: str
    host: str
    port: int | None  # None: the default of the scheme

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Read a template; raise BadOption."""
        if has_credentials(text):
            raise BadOption("server_url_template must be scheme, host and port, without user and password")
        _check_fields(text)
        url = _split(text)
        if url is None or url.path not in {"", "/"} or url.query or url.fragment:
            raise BadOption(
                f"server_url_template must be scheme, host and port, such as http://{{pod_name}}.example:8888, not {text!r}"
            )
        return cls(scheme=url.scheme, host=url.hostname or "", port=url.port)

    def address_of(self, server: Server) -> str | None:
        """Return a server's address; None: its state lacks a field, or the host is invalid."""
        state = SavedState.load(server.state)
        saved = {name: value for name in OF_THE_STATE if (value := getattr(state, name)) is not None}
        if any(f"{{{name}}}" in self.host for name in OF_THE_STATE - set(saved)):
            return None
        names = templates.Names.of(username=server.user, servername=server.name, userid="", hub_namespace="")
        expand = partial(templates.expand, names=replace(names, **saved))
        host = templates.expand_host(self.host, expand)
        if HOST.fullmatch(host) is None:
            return None
        return f"{self.scheme}://{host}" + ("" if self.port is None else f":{self.port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The known addresses of servers."""

    template: Template | None = None
    routes: Mapping[ServerKey, str] = field(default_factory=dict)

    def url_of(self, server: Server) -> str | None:
        """Return the URL of a server, without a final slash; None: unknown."""
        own = SavedState.load(server.state).url
        if own is not None and _split(own) is not None:
            return own.rstrip("/")
        address = None if self.template is None else self.template.address_of(server)
        address = address or self.routes.get(server.key)
        path = server.raw.get("url")
        if address is None or _split(address) is None or not isinstance(path, str):
            return None
        # A hub with a domain for each user puts the domain before the path.
        return address.rstrip("/") + urlsplit(path).path.rstrip("/")


def needs_state(template: str) -> bool:
    """Return whether a template of addresses has a field of the saved state, which the token may not see."""
    return any(f"{{{name}}}" in template for name in OF_THE_STATE)


def _check_fields(text: str) -> None:
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise BadOption(f"server_url_template {text!r} is malformed: {error}") from None
    for literal, name, spec, conversion in parts:
        if "{" in literal or "}" in literal:
            raise BadOption(
                f"server_url_template {text!r} has a single brace; write a field such as {{pod_name}}"
            )
        if name is not None and (name not in OF_THE_STATE | OF_THE_NAMES or spec or conversion):
            known = ", ".join(sorted(OF_THE_STATE | OF_THE_NAMES))
            shown = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise BadOption(
                f"server_url_template {text!r} has the unknown field {shown!r}; known fields are {known}"
            )


def _split(url: str | None) -> SplitResult | None:
    """Return the parts of a URL; None: the culler cannot ask it."""
    parts = urlsplit(url) if url is not None and is_http_url(url) else None
    return None if parts is None or "@" in parts.netloc else parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A server that the culler may ask."""

    server: Server
    looks_idle: bool  # by the hub's record: it stops unless it reports activity
    probed_at: datetime | None  # None: never


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeChoice:
    """The servers to ask in this sweep."""

    probed: tuple[Server, ...] = ()
    waiting: frozenset[Server] = frozenset()  # idle-looking ones beyond the limit, kept until they are asked


def candidate(facts: Facts, limits: Limits, now: datetime, probed_at: datetime | None) -> Candidate | None:
    """Return a server as a candidate; None: its answer would not matter."""
    verdict = evaluate(facts, limits, now)
    # EXTENDED: the answer counts after the extension.
    if verdict.cause not in {Cause.IDLE, Cause.IN_USE, Cause.EXTENDED}:
        return None
    begun = facts.server.started or facts.server.last_activity
    if begun is None or now - begun < limits.timeout:
        return None
    return Candidate(server=facts.server, looks_idle=verdict.culls, probed_at=probed_at)


def choose(candidates: Iterable[Candidate], slots: int) -> ProbeChoice:
    """Choose the servers to ask: idle-looking ones first, then those not asked for longest."""
    ordered = sorted(candidates, key=lambda each: (not each.looks_idle, each.probed_at or EARLIEST))
    return ProbeChoice(
        probed=tuple(each.server for each in ordered[:slots]),
        waiting=frozenset(each.server for each in ordered[slots:] if each.looks_idle),
    )


BUSY = "busy"

MOST_CONNECTIONS = 1_000_000
"""Limit of the connections of one kernel: a server is its user's program, and may report any number."""

MOST_ITEMS = 10_000
"""Limit of the kernels and of the terminals to read; each blocks the event loop for some microseconds."""


@dataclass(slots=True)
class Answer:
    """The valid parts of a server's answer."""

    busy: int = 0
    connections: int = 0
    last_execution: datetime | None = None
    problem: str | None = None  # the first invalid part: field and value

    @property
    def work(self) -> Work | None:
        """What the server runs; None: the answer has no valid part."""
        if self.problem is not None and not self.busy and self.last_execution is None:
            return None
        return Work(
            busy=self.busy,
            connections=self.connections,
            last_execution=self.last_execution,
            is_partial=self.problem is not None,
        )

    def add_kernels(self, raw: Any) -> None:
        """Read the decoded answer of ``/api/kernels``."""
        for kernel in self._objects(raw, "kernels"):
            self._add_state(kernel.get("execution_state"))
            self._add_connections(kernel.get("connections"))
            self._add_moment(kernel.get("last_activity"), "a kernel")

    def add_terminals(self, raw: Any) -> None:
        """Read the decoded answer of ``/api/terminals``; None: the server has no terminals."""
        for terminal in self._objects([] if raw is None else raw, "terminals"):
            self._add_moment(terminal.get("last_activity"), "a terminal")

    def miss(self, part: str, value: Any, rule: str) -> None:
        """Note an invalid part; only the first is logged."""
        if self.problem is None:
            self.problem = f"{part} {quoted(value)}, not {rule}"

    def _objects(self, raw: Any, what: str) -> list[Mapping[str, Any]]:
        if not isinstance(raw, list):
            self.miss(f"{what} are", raw, "a list of objects")
            return []
        objects = [item for item in raw[:MOST_ITEMS] if isinstance(item, Mapping)]
        if len(objects) < len(raw):
            self.miss(f"{what} are", raw, f"a list of at most {MOST_ITEMS} objects")
        return objects

    def _add_state(self, state: Any) -> None:
        if isinstance(state, str):
            self.busy += state == BUSY
        elif state is not None:  # None: the server does not know the state yet
            self.miss("a kernel's execution_state is", state, "a word")

    def _add_connections(self, number: Any) -> None:
        if type(number) is int and 0 <= number <= MOST_CONNECTIONS:
            self.connections += number
        else:
            self.miss("a kernel's connections are", number, f"a number up to {MOST_CONNECTIONS}")

    def _add_moment(self, text: Any, whose: str) -> None:
        try:
            moment = timestamps.parse(text)
        except (TypeError, ValueError):
            self.miss(f"{whose}'s last_activity is", text, "a time with an offset")
        else:
            if self.last_execution is None or moment > self.last_execution:
                self.last_execution = moment
