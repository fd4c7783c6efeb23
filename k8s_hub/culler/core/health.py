"""Whether the culler does its work: passes over all servers end well, again and again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from k8s_hub.culler.core.report import PassRecord
from k8s_hub.text import format_duration

INTERVALS = 3
"""So many without a pass that ended well are a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the culler does, at one time."""

    healthy: bool
    reason: str  # a sentence
    last_success: datetime | None  # when a pass last ended well; None: none has yet
    last_error: str | None  # of the last pass; None: it ended well

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON; times are ISO 8601 in UTC."""
        return {
            "healthy": self.healthy,
            "reason": self.reason,
            "last_success": self.last_success and self.last_success.isoformat(timespec="seconds"),
            "last_error": self.last_error,
        }


class Pulse:
    """Owns the time of the last pass that ended well; ``now`` is the clock, ``every`` the interval of sweeps."""

    def __init__(self, every: timedelta, now: Callable[[], datetime]) -> None:
        self._every = every
        self._now = now
        self._begun = now()
        self._last_success: datetime | None = None
        self._last_seconds = 0.0  # that pass took
        self._last_error: str | None = None

    def on_pass(self, record: PassRecord) -> None:
        """Take note of a pass."""
        self._last_error = record.error
        if record.report is not None:
            self._last_success = self._now()
            self._last_seconds = record.seconds

    def health(self) -> Health:
        """Judge. A pass that takes longer than the interval delays the next, which is no failure."""
        patience = INTERVALS * max(self._every, timedelta(seconds=self._last_seconds))
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
            return f"no pass over all servers has ended well for {whole}{error}"
        if self._last_success is None:
            return f"it was started {whole} ago; no pass over all servers has ended well yet"
        return f"a pass over all servers ended well {whole} ago"
