"""What a sweep did, what sweeps before it did, and when one would stop too many."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from k8s_hub.culler.core.decision import Decision
from k8s_hub.culler.core.policy import Cause, Notice
from k8s_hub.hub.routes import ServerKey
from k8s_hub.text import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The counts of one sweep. Servers seen are stopped, stopping, gone, kept, failed or, without effects, would be stopped."""

    users: int = 0
    servers: int = 0
    stopped: int = 0
    stopping: int = 0  # told to stop; the hub is still at it
    gone: int = 0  # stopped by somebody else meanwhile
    would_stop: int = 0  # in a look or a dry run
    kept: Mapping[str, int] = field(default_factory=dict)  # by cause
    held_by_guard: int = 0  # of those kept: held back by the brake
    held_by_grace: int = 0  # of those kept: held back after an outage
    failed: int = 0
    hidden: int = 0  # users whose servers the token may not see
    warned: int = 0  # users told, or given up, that their server will be stopped
    probed: int = 0  # servers asked what they run
    answered: int = 0  # of those asked
    deleted: int = 0  # users
    would_delete: int = 0  # users, in a look or a dry run
    delete_failed: int = 0  # users
    lost: int = 0  # pages, or users in them, that could not be read
    seconds: float = 0.0
    stop_seconds: tuple[float, ...] = ()  # what the hub took to answer each stop

    def __str__(self) -> str:
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
            f"{counted(self.lost, 'part')} of the list lost" if self.lost else "",
            f"{self.seconds:.1f} s",
        ]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRecord:
    """One pass of the service over all servers: a look, which stops nothing, or a sweep."""

    kind: Literal["look", "sweep"]
    begun: datetime
    seconds: float
    report: Report | None  # None: it failed
    error: str | None  # None: it did not; names no user


WARNING_TRIES = 3
"""So many sweeps try to warn a user, before a server is stopped without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tries:
    """Warnings that could not be given."""

    since: datetime  # the period that they are about
    first: datetime
    number: int


class SweepHistory:
    """Owns what is remembered from pass to pass, of servers that run; lost when the process ends."""

    def __init__(self) -> None:
        self.in_use: frozenset[ServerKey] = frozenset()  # in the eyes of the last pass
        self.probed_at: dict[ServerKey, datetime] = {}  # what they run
        self._seen: frozenset[ServerKey] = frozenset()
        self._unwarned: dict[ServerKey, _Tries] = {}

    def decided(self, decisions: Iterable[Decision]) -> None:
        """Note what a pass saw in use."""
        self.in_use = frozenset(
            server_key(each) for each in decisions if each.verdict.cause in {Cause.IN_USE, Cause.BUSY}
        )

    def probed(self, servers: Iterable[ServerKey], now: datetime) -> None:
        """Note that servers were asked what they run."""
        self.probed_at |= dict.fromkeys(servers, now)

    def could_not_warn(self, decision: Decision) -> Notice | None:
        """Note a warning that failed; return the notice that is to count all the same, after enough of them."""
        key, since, now = server_key(decision), decision.verdict.since or decision.at, decision.at
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
        self.probed_at = {key: at for key, at in self.probed_at.items() if key in recent}
        self._unwarned = {key: tries for key, tries in self._unwarned.items() if key in recent}
        return recent


def server_key(decision: Decision) -> ServerKey:
    """Return which server a decision is about."""
    return decision.facts.server.user, decision.facts.server.name


AT_LEAST = 10
"""Fewer servers than these are never braked: half of a small hub often leaves together."""


def mass_cull_guard(
    to_stop: Collection[ServerKey], in_use_before: frozenset[ServerKey], running: int, percent: int
) -> frozenset[ServerKey]:
    """Return those of ``to_stop`` that are not to be stopped this time.

    in_use_before: what the pass before saw in use; running: how many servers run;
    percent: of these, so many may be stopped although they were in use before; 0: all.
    """
    sudden = in_use_before & frozenset(to_stop)
    is_too_much = percent > 0 and len(sudden) >= AT_LEAST and len(sudden) * 100 > running * percent
    return sudden if is_too_much else frozenset()
