"""What one sweep did, as a value and as one line."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The counts of one sweep. Servers seen are stopped, stopping, gone, kept or failed."""

    users: int = 0
    servers: int = 0
    stopped: int = 0
    stopping: int = 0  # told to stop; the hub is still at it
    gone: int = 0  # stopped by somebody else meanwhile
    kept: Mapping[str, int] = field(default_factory=dict)  # by cause
    failed: int = 0
    hidden: int = 0  # users whose servers the token may not see
    deleted: int = 0  # users
    delete_failed: int = 0  # users
    lost: int = 0  # pages, or users in them, that could not be read
    seconds: float = 0.0

    def __str__(self) -> str:
        kept = ", ".join(f"{number} {cause}" for cause, number in sorted(self.kept.items()))
        parts = [
            f"{self.servers} servers of {self.users} users seen",
            f"{self.stopped} stopped",
            f"{self.stopping} stopping" if self.stopping else "",
            f"{self.gone} gone meanwhile" if self.gone else "",
            f"{sum(self.kept.values())} kept" + (f" ({kept})" if kept else ""),
            f"{self.hidden} users with hidden servers" if self.hidden else "",
            f"{self.deleted} users deleted" if self.deleted else "",
            f"{self.failed + self.delete_failed} failed",
            f"{self.lost} parts of the list lost" if self.lost else "",
            f"{self.seconds:.1f} s",
        ]
        return ", ".join(part for part in parts if part)
