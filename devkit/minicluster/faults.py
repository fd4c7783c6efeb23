"""Fault rules: what a real API server and the network before it do on bad days, planted on purpose.

A rule says which calls it strikes and with which effect. The first rule that matches a call strikes it,
alone. The API being away is no rule but a state: ``MiniCluster.go_away``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeAlias

from devkit.minicluster.statuses import status_body
from k8s_hub.objects.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """The call is looked at only after ``seconds`` of loop time; a client that leaves before has done nothing."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitAfterDisconnect:
    """The call waits ``seconds`` of loop time and is then carried out, whether or not the client is still there."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ReplyLost:
    """The call is carried out, then the connection is reset instead of answered."""


@dataclass(frozen=True, slots=True)
class RequestLost:
    """The connection is reset and nothing is carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The call is not carried out; the answer is this Status, or this text if something before the API speaks."""

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


Effect: TypeAlias = Slow | CommitAfterDisconnect | ReplyLost | RequestLost | Refuse | CutWatch | WatchGone
StreamEffect: TypeAlias = CutWatch | WatchGone


def too_many_requests(retry_after_seconds: int = 1) -> Refuse:
    """Return the answer of a server that sheds load."""
    message = "too many requests, please try again later"
    body = status_body(429, "TooManyRequests", message, {"retryAfterSeconds": retry_after_seconds})
    return Refuse(code=429, body=body, retry_after_seconds=retry_after_seconds)


def refuse(status: Raw) -> Refuse:
    """Return the answer with a Status as recorded on a real server."""
    return Refuse(code=status["code"], body=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What rules are matched against."""

    #: get, list, watch, create or delete
    verb: str
    #: The plural: pods, persistentvolumeclaims, ...
    resource: str
    namespace: str
    #: Empty for list and watch.
    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaultRule:
    """Which calls are struck, and how. A rule is itself: two that look equal count their hits apart."""

    effect: Effect
    verb: str = "*"
    resource: str = "*"
    namespace: str = "*"
    #: A shell pattern, as the others.
    name: str = "*"
    #: Strikes so often, then never again; None: always.
    count: int | None = None

    def matches(self, call: Call) -> bool:
        """Say whether the rule is about this call."""
        return (
            fnmatchcase(call.verb, self.verb)
            and fnmatchcase(call.resource, self.resource)
            and fnmatchcase(call.namespace, self.namespace)
            and fnmatchcase(call.name, self.name)
        )


class Faults:
    """The owner of the rules in force and of their hits."""

    def __init__(self, wake_watches: Callable[[], None]) -> None:
        self._wake_watches = wake_watches
        self._rules: list[FaultRule] = []
        self._hits: dict[FaultRule, int] = {}

    def add(self, rule: FaultRule) -> FaultRule:
        """Put the rule in force, behind those that are; returns it."""
        self._rules.append(rule)
        self._wake_watches()
        return rule

    def remove(self, rule: FaultRule) -> None:
        """Take the rule out of force; its hits stay counted."""
        self._rules.remove(rule)

    def clear(self) -> None:
        """Take all rules out of force."""
        self._rules.clear()

    def hits(self, rule: FaultRule) -> int:
        """Return how often the rule has struck."""
        return self._hits.get(rule, 0)

    def strike(self, call: Call) -> Effect | None:
        """Return what happens to this call, None if nothing; counts the hit."""
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
