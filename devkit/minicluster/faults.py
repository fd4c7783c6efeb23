"""Fault rules: planted failures of the API server and the network.

A rule has a pattern of calls and an effect. Only the first matching rule applies to a call. To take the whole API away, use
``MiniCluster.go_away``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeAlias

from devkit.minicluster.statuses import status_body
from k8s_hub.objects.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """The call starts after ``seconds`` of loop time. If the client leaves before, nothing happens."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitAfterDisconnect:
    """The call is carried out after ``seconds`` of loop time, even if the client has left."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ReplyLost:
    """The call is carried out, but the connection is reset instead of a response."""


@dataclass(frozen=True, slots=True)
class RequestLost:
    """The connection is reset and nothing is carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The call is refused with this Status, or with this text, as from a proxy. For a Status, `refuse` makes one."""

    code: int
    body: Raw | str
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class CutWatch:
    """An open watch is reset in the middle of its next line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchGone:
    """An open watch ends at once with 410 in the stream."""

    message: str = "too old resource version"


@dataclass(frozen=True, slots=True)
class MuteWatch:
    """An open watch sends nothing more, from its next line on, and does not end: the network swallows its packets."""


@dataclass(frozen=True, slots=True)
class EventLost:
    """An open watch does not send its next line; all later ones come."""


Effect: TypeAlias = (
    Slow
    | CommitAfterDisconnect
    | ReplyLost
    | RequestLost
    | Refuse
    | CutWatch
    | WatchGone
    | MuteWatch
    | EventLost
)
StreamEffect: TypeAlias = CutWatch | WatchGone | MuteWatch | EventLost


def too_many_requests(retry_after_seconds: int = 1) -> Refuse:
    """Return the refusal of an overloaded server."""
    message = "too many requests, please try again later"
    body = status_body(429, "TooManyRequests", message, {"retryAfterSeconds": retry_after_seconds})
    return Refuse(code=429, body=body, retry_after_seconds=retry_after_seconds)


def refuse(status: Raw) -> Refuse:
    """Return a refusal with a Status that was recorded on a real server."""
    return Refuse(code=status["code"], body=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to match with rules."""

    #: get, list, watch, create or delete
    verb: str
    #: The plural: pods, persistentvolumeclaims, ...
    resource: str
    namespace: str
    #: Empty for list and watch.
    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaultRule:
    """A pattern of calls and an effect. Equal rules count their hits separately."""

    effect: Effect
    verb: str = "*"
    resource: str = "*"
    namespace: str = "*"
    #: A shell pattern, like the others.
    name: str = "*"
    #: The number of strikes; None: unlimited.
    count: int | None = None

    def matches(self, call: Call) -> bool:
        """Return whether the rule matches this call."""
        return (
            fnmatchcase(call.verb, self.verb)
            and fnmatchcase(call.resource, self.resource)
            and fnmatchcase(call.namespace, self.namespace)
            and fnmatchcase(call.name, self.name)
        )


class Faults:
    """Owns the active rules and their hits."""

    def __init__(self, wake_watches: Callable[[], None]) -> None:
        self._wake_watches = wake_watches
        self._rules: list[FaultRule] = []
        self._hits: dict[FaultRule, int] = {}

    def add(self, rule: FaultRule) -> FaultRule:
        """Add the rule after the others, and return it."""
        self._rules.append(rule)
        self._wake_watches()
        return rule

    def remove(self, rule: FaultRule) -> None:
        """Remove the rule. Its hits stay counted."""
        self._rules.remove(rule)

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def hits(self, rule: FaultRule) -> int:
        """Return the number of hits of the rule."""
        return self._hits.get(rule, 0)

    def strike(self, call: Call) -> Effect | None:
        """Return the effect on this call, or None, and count the hit."""
        return self._strike(call, lambda effect: not isinstance(effect, StreamEffect))

    def strike_stream(self, call: Call, *, has_line: bool) -> StreamEffect | None:
        """Return what happens to an open watch that is about to send a line, or is not; counts the hit."""
        wanted = StreamEffect if has_line else WatchGone
        effect = self._strike(call, lambda effect: isinstance(effect, wanted))
        return effect if isinstance(effect, StreamEffect) else None

    def _strike(self, call: Call, is_wanted: Callable[[Effect], bool]) -> Effect | None:
        for rule in self._rules:
            if rule.count is not None and self.hits(rule) >= rule.count:
                continue
            if is_wanted(rule.effect) and rule.matches(call):
                self._hits[rule] = self.hits(rule) + 1
                return rule.effect
        return None
