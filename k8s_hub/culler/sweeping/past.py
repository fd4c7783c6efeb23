"""What a sweep knows of the passes before it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from k8s_hub.culler.judging.decision import Decision
from k8s_hub.culler.judging.facts import Notice
from k8s_hub.culler.judging.policy import Cause
from k8s_hub.hub.routes import ServerKey

WARNING_TRIES = 3
"""So many sweeps try to warn a user, before a server is stopped without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tries:
    """Warnings that could not be given."""

    since: datetime  # the period that they are about
    first: datetime
    number: int


class Past:
    """Owns what is remembered from pass to pass, of servers that run; lost when the process ends."""

    def __init__(self) -> None:
        self.in_use: frozenset[ServerKey] = frozenset()  # in the eyes of the last pass
        self.asked_at: dict[ServerKey, datetime] = {}  # what they run
        self._seen: frozenset[ServerKey] = frozenset()
        self._unwarned: dict[ServerKey, _Tries] = {}

    def decided(self, decisions: Iterable[Decision]) -> None:
        """Note what a pass saw in use."""
        self.in_use = frozenset(
            key_of(each) for each in decisions if each.verdict.cause in {Cause.IN_USE, Cause.BUSY}
        )

    def asked(self, servers: Iterable[ServerKey], now: datetime) -> None:
        """Note that servers were asked what they run."""
        self.asked_at |= dict.fromkeys(servers, now)

    def could_not_warn(self, decision: Decision) -> Notice | None:
        """Note a warning that failed; return the notice that is to count all the same, after enough of them."""
        key, since, now = key_of(decision), decision.verdict.since or decision.at, decision.at
        before = self._unwarned.get(key)
        if before is None or before.since != since:
            before = _Tries(since=since, first=now, number=0)
        tries = _Tries(since=since, first=before.first, number=before.number + 1)
        self._unwarned[key] = tries
        return Notice(at=tries.first, since=since) if tries.number >= WARNING_TRIES else None

    def saw_all(self, servers: Collection[ServerKey]) -> frozenset[ServerKey]:
        """Note all servers that run; return those that this or the last complete pass saw.

        A user who is deleted while the list is read moves the others up, and one of them may be left out.
        """
        recent = self._seen | frozenset(servers)
        self._seen = frozenset(servers)
        self.asked_at = {key: at for key, at in self.asked_at.items() if key in recent}
        self._unwarned = {key: tries for key, tries in self._unwarned.items() if key in recent}
        return recent


def key_of(decision: Decision) -> ServerKey:
    """Return which server a decision is about."""
    return decision.facts.server.user, decision.facts.server.name
