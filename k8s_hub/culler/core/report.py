"""Results of sweeps: reports, the history from sweep to sweep, and the state for page and health check."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from k8s_hub.culler.core.decision import Action, Decision, DecisionRecord
from k8s_hub.culler.core.policy import Cause, Notice, Work
from k8s_hub.hub.users import ServerKey
from k8s_hub.objects import timestamps
from k8s_hub.text import counted, format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The counts of one sweep. Each server is one of stopped, stopping, gone, would_stop, kept and failed."""

    users: int = 0
    servers: int = 0
    stopped: int = 0
    stopping: int = 0  # the hub has not finished the stop yet
    gone: int = 0  # something else stopped it meanwhile
    would_stop: int = 0  # in a look or a dry run
    kept: Mapping[str, int] = field(default_factory=dict)  # by cause
    held_by_brake: int = 0  # of those kept: by the brake
    held_by_grace: int = 0  # of those kept: after an outage
    failed: int = 0
    hidden: int = 0  # users whose servers the token cannot see
    warned: int = 0  # users warned of a stop, or with too many failed warnings
    probed: int = 0  # servers asked for their activity
    answered: int = 0  # of those probed
    deleted: int = 0  # users
    would_delete: int = 0  # users, in a look or a dry run
    delete_failed: int = 0  # users
    lost: int = 0  # pages, or users in them, that could not be read
    seconds: float = 0.0
    stop_seconds: tuple[float, ...] = ()  # the time of each stop request

    def __str__(self) -> str:
        return f"{self.counts()}, {format_seconds(self.seconds)}"

    def counts(self) -> str:
        """Return the counts in one line."""
        kept = ", ".join(f"{number} {cause}" for cause, number in sorted(self.kept.items()))
        parts = [
            f"{counted(self.servers, 'server')} of {counted(self.users, 'user')}",
            f"{self.stopped} stopped",
            f"{self.stopping} stopping" if self.stopping else "",
            f"{self.gone} gone meanwhile" if self.gone else "",
            f"{self.would_stop} would be stopped" if self.would_stop else "",
            f"{sum(self.kept.values())} kept" + (f" ({kept})" if kept else ""),
            f"{counted(self.hidden, 'user')} with hidden servers" if self.hidden else "",
            f"{counted(self.warned, 'user')} warned" if self.warned else "",
            f"asked {counted(self.probed, 'server')}, {self.answered} answered" if self.probed else "",
            f"{counted(self.deleted, 'user')} deleted" if self.deleted else "",
            f"{counted(self.would_delete, 'user')} would be deleted" if self.would_delete else "",
            f"{self.failed + self.delete_failed} failed",
            f"{counted(self.lost, 'part')} of the list not read" if self.lost else "",
        ]
        return ", ".join(part for part in parts if part)


def format_seconds(seconds: float) -> str:
    """Return the duration of a sweep, such as "1.2 s" or "2 min 30 s": often less than a second."""
    return f"{seconds:.1f} s" if seconds < 60 else format_duration(timedelta(seconds=seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRecord:
    """One sweep of the service. A look is a sweep that stops nothing."""

    kind: Literal["look", "sweep"]
    begun: datetime
    seconds: float
    report: Report | None  # None: the sweep failed
    error: str | None  # None: the sweep succeeded; names no user

    @property
    def took(self) -> str:
        """Its duration, as the page shows it."""
        return format_seconds(self.seconds)

    @property
    def outcome(self) -> str:
        """Its counts, as the page shows them; empty if it failed."""
        return "" if self.report is None else self.report.counts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A server that the culler stopped."""

    user: str
    server: str  # "" is the user's default server
    at: datetime
    reason: str  # completes the sentence "it ..."
    rule: str | None  # None: the default limits
    is_removed: bool = False  # the culler also removed the named server from the hub
    ran_again: bool = False  # a later sweep saw it running

    @property
    def key(self) -> ServerKey:
        """The key of the server."""
        return self.user, self.server


WARNING_TRIES = 3
"""The culler tries to warn a user in this many sweeps, then stops the server without a warning."""


class SweepHistory:
    """Owns what the culler remembers about running servers from sweep to sweep; in memory only."""

    def __init__(self) -> None:
        self.in_use: frozenset[ServerKey] = frozenset()  # in the last sweep
        self.probed_at: dict[ServerKey, datetime] = {}  # when each was last asked
        self._seen: frozenset[ServerKey] = frozenset()
        self._unwarned: dict[ServerKey, tuple[Notice, int]] = {}  # the first failed warning, and their number

    def decided(self, decisions: Iterable[Decision]) -> None:
        """Note which servers a sweep saw in use."""
        self.in_use = frozenset(
            each.key for each in decisions if each.verdict.cause in {Cause.IN_USE, Cause.BUSY}
        )

    def probed(self, servers: Iterable[ServerKey], now: datetime) -> None:
        """Note that these servers were asked for their activity."""
        self.probed_at |= dict.fromkeys(servers, now)

    def could_not_warn(self, decision: Decision) -> Notice | None:
        """Note a failed warning; after WARNING_TRIES of them, return the notice that counts as given."""
        key, now = decision.key, decision.at
        new = Notice(at=now, since=decision.verdict.since or now)
        first, number = self._unwarned.get(key, (new, 0))
        if first.since != new.since:  # of an earlier idle period
            first, number = new, 0
        self._unwarned[key] = first, number + 1
        return first if number + 1 >= WARNING_TRIES else None

    def saw_all(self, servers: Collection[ServerKey]) -> frozenset[ServerKey]:
        """Note all running servers; return those that this sweep or the last complete one saw.

        One sweep may miss a server: if a user is deleted while the culler reads the pages, the others move up.
        """
        recent = self._seen | frozenset(servers)
        self._seen = frozenset(servers)
        self.probed_at = {key: at for key, at in self.probed_at.items() if key in recent}
        self._unwarned = {key: tries for key, tries in self._unwarned.items() if key in recent}
        return recent


SWEEPS_KEPT = 500
"""The board remembers this many sweeps: most of them stop nothing."""


class Board:
    """Owns the last decisions and sweeps. A successful sweep removes the servers that it did not see."""

    def __init__(self) -> None:
        self.missing_scopes: Sequence[str] = ()  # a message for each scope that the token lacks
        self.sweeps: deque[SweepRecord] = deque(maxlen=SWEEPS_KEPT)  # the newest last
        self._seen: dict[tuple[str, str], DecisionRecord] = {}  # up to the last sweep
        self._now_seen: dict[tuple[str, str], DecisionRecord] = {}  # in the current sweep

    def on_decision(self, decision: Decision, action: Action) -> None:
        """Note one decision."""
        seen = decision.record(action)
        self._now_seen[seen.user, seen.server] = seen

    def on_sweep(self, record: SweepRecord) -> None:
        """Note a finished sweep."""
        self.sweeps.append(record)
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
        """Return the last decision about a server, or None."""
        return self._now_seen.get((user, server)) or self._seen.get((user, server))

    def work(self, user: str, server: str) -> Work | None:
        """Return what the server reported when it was last asked, or None."""
        seen = self.seen(user, server)
        return None if seen is None else seen.work


INTERVALS = 3
"""Without a successful sweep in this many intervals, the culler is unhealthy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The health of the culler at one time."""

    healthy: bool
    reason: str  # a sentence
    last_success: datetime | None  # None: no sweep has succeeded yet
    last_error: str | None  # of the last sweep; None: it succeeded

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON; times are ISO 8601 in UTC."""
        return {
            "healthy": self.healthy,
            "reason": self.reason,
            "last_success": self.last_success and timestamps.format_seconds(self.last_success),
            "last_error": self.last_error,
        }


class Pulse:
    """Owns the time of the last successful sweep; ``now`` is the clock, ``interval`` the time between two sweeps."""

    def __init__(self, interval: timedelta, now: Callable[[], datetime]) -> None:
        self._interval = interval
        self._now = now
        self._begun = now()
        self._last_success: datetime | None = None
        self._last_seconds = 0.0  # the duration of that sweep
        self._last_error: str | None = None

    def on_sweep(self, record: SweepRecord) -> None:
        """Note a finished sweep."""
        self._last_error = record.error
        if record.report is not None:
            self._last_success = self._now()
            self._last_seconds = record.seconds

    def health(self) -> Health:
        """Return the health. A sweep longer than the interval delays the next, which is no failure."""
        patience = INTERVALS * max(self._interval, timedelta(seconds=self._last_seconds))
        silence = self._now() - (self._last_success or self._begun)
        return Health(
            healthy=silence <= patience,
            reason=self._reason(silence, is_late=silence > patience),
            last_success=self._last_success,
            last_error=self._last_error,
        )

    def _reason(self, silence: timedelta, *, is_late: bool) -> str:
        whole = format_duration(silence)
        if is_late:
            error = f"; the last one failed: {self._last_error}" if self._last_error else ""
            return f"no sweep has succeeded for {whole}{error}"
        if self._last_success is None:
            return f"the culler started {whole} ago; its first sweep has not succeeded yet"
        return f"the last successful sweep ended {whole} ago"
