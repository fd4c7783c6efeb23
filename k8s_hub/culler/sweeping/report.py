"""What one sweep did, as a value and as one line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from k8s_hub.culler.judging import words


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
    braked: int = 0  # of those kept: held back by the brake
    quiet: int = 0  # of those kept: held back after an outage
    failed: int = 0
    hidden: int = 0  # users whose servers the token may not see
    warned: int = 0  # users told, or given up, that their server will be stopped
    asked: int = 0  # servers asked what they run
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
            f"{words.some(self.servers, 'server')} of {words.some(self.users, 'user')}",
            f"{self.stopped} stopped",
            f"{self.stopping} stopping" if self.stopping else "",
            f"{self.gone} gone meanwhile" if self.gone else "",
            f"{self.would_stop} would be stopped" if self.would_stop else "",
            f"{sum(self.kept.values())} kept" + (f" ({kept})" if kept else ""),
            f"{words.some(self.hidden, 'user')} with hidden servers" if self.hidden else "",
            f"{words.some(self.warned, 'user')} warned" if self.warned else "",
            f"asked {words.some(self.asked, 'server')}, {self.answered} answered" if self.asked else "",
            f"{words.some(self.deleted, 'user')} deleted" if self.deleted else "",
            f"{words.some(self.would_delete, 'user')} would be deleted" if self.would_delete else "",
            f"{self.failed + self.delete_failed} failed",
            f"{words.some(self.lost, 'part')} of the list lost" if self.lost else "",
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
