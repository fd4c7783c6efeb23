"""The board: the last decision about each server and the last passes, for those who look at them.

It holds what the pages show and no more: with tens of thousands of servers the hub's own words would be too large.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from k8s_hub.culler.core.decision import Action, Decision
from k8s_hub.culler.core.facts import Work
from k8s_hub.culler.core.policy import Verdict, age_ends
from k8s_hub.culler.core.report import PassRecord

PASSES = 500
"""So many passes are remembered: most of them stop nothing, and are shown as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of one server when it was decided about."""

    user: str
    server: str  # "" is the user's default server
    at: datetime
    action: Action
    verdict: Verdict
    rule: str | None  # None: the default limits
    idle: timedelta | None  # None: not known
    idle_limit: timedelta
    age_ends: datetime | None  # when its greatest age comes; None: it has none
    started: datetime | None
    last_activity: datetime | None
    kept_until: datetime | None
    warned_at: datetime | None
    work: Work | None

    @classmethod
    def of(cls, decision: Decision, action: Action) -> Self:
        """Return what a page needs of a decision."""
        facts, limits = decision.facts, decision.ruling.limits
        return cls(
            user=facts.server.user,
            server=facts.server.name,
            at=decision.at,
            action=action,
            verdict=decision.verdict,
            rule=decision.ruling.rule,
            idle=decision.idle,
            idle_limit=limits.idle,
            age_ends=age_ends(facts.server, limits),
            started=facts.server.started,
            last_activity=facts.server.last_activity,
            kept_until=facts.kept_until,
            warned_at=None if facts.notice is None else facts.notice.at,
            work=facts.work,
        )


class Board:
    """Owns the last decisions and passes. What a pass that ended well did not see is gone."""

    def __init__(self) -> None:
        self.missing_scopes: Sequence[str] = ()  # what the token lacks of what was asked for
        self.passes: deque[PassRecord] = deque(maxlen=PASSES)  # the newest last
        self._seen: dict[tuple[str, str], Seen] = {}  # until the pass before
        self._now_seen: dict[tuple[str, str], Seen] = {}  # in the pass that is under way

    def tell(self, decision: Decision, action: Action) -> None:
        """Take note of one decision; it is a sweep's Sink."""
        seen = Seen.of(decision, action)
        self._now_seen[seen.user, seen.server] = seen

    def passed(self, record: PassRecord) -> None:
        """Take note that a pass has ended."""
        self.passes.append(record)
        is_whole = record.report is not None and not record.report.lost
        self._seen = self._now_seen if is_whole else self._seen | self._now_seen
        self._now_seen = {}

    @property
    def servers(self) -> Sequence[Seen]:
        """All servers, by the names of their users and their own."""
        return [seen for _, seen in sorted((self._seen | self._now_seen).items())]

    def servers_of(self, user: str) -> Sequence[Seen]:
        """Return one user's servers."""
        return [seen for seen in self.servers if seen.user == user]

    def seen(self, user: str, server: str) -> Seen | None:
        """Return the last decision about a server; None where there is none."""
        return self._now_seen.get((user, server)) or self._seen.get((user, server))

    def work(self, user: str, server: str) -> Work | None:
        """Return what the server said of itself when it was last asked; None where it did not."""
        seen = self.seen(user, server)
        return None if seen is None else seen.work
