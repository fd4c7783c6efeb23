"""The board: the last decision about each server and the last passes, for those who look at them.

It holds what the pages show and no more: with tens of thousands of servers the hub's own words would be too large.
"""

from collections import deque
from collections.abc import Sequence

from k8s_hub.culler.core.decision import Action, Decision, DecisionRecord
from k8s_hub.culler.core.policy import Work
from k8s_hub.culler.core.report import PassRecord

PASSES = 500
"""So many passes are remembered: most of them stop nothing, and are shown as one."""


class Board:
    """Owns the last decisions and passes. What a pass that ended well did not see is gone."""

    def __init__(self) -> None:
        self.missing_scopes: Sequence[str] = ()  # what the token lacks of what was asked for
        self.passes: deque[PassRecord] = deque(maxlen=PASSES)  # the newest last
        self._seen: dict[tuple[str, str], DecisionRecord] = {}  # until the pass before
        self._now_seen: dict[tuple[str, str], DecisionRecord] = {}  # in the pass that is under way

    def on_decision(self, decision: Decision, action: Action) -> None:
        """Take note of one decision; it is a sweep's DecisionListener."""
        seen = decision.record(action)
        self._now_seen[seen.user, seen.server] = seen

    def on_pass(self, record: PassRecord) -> None:
        """Take note that a pass has ended."""
        self.passes.append(record)
        is_whole = record.report is not None and not record.report.lost
        self._seen = self._now_seen if is_whole else self._seen | self._now_seen
        self._now_seen = {}

    @property
    def servers(self) -> Sequence[DecisionRecord]:
        """All servers, by the names of their users and their own."""
        return [seen for _, seen in sorted((self._seen | self._now_seen).items())]

    def servers_of(self, user: str) -> Sequence[DecisionRecord]:
        """Return one user's servers."""
        return [seen for seen in self.servers if seen.user == user]

    def seen(self, user: str, server: str) -> DecisionRecord | None:
        """Return the last decision about a server; None where there is none."""
        return self._now_seen.get((user, server)) or self._seen.get((user, server))

    def work(self, user: str, server: str) -> Work | None:
        """Return what the server said of itself when it was last asked; None where it did not."""
        seen = self.seen(user, server)
        return None if seen is None else seen.work
