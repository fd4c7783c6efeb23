"""Findings: what a check saw, how bad that is, and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Status(Enum):
    """How bad it is; the value is what is printed."""

    FINE = "ok"
    NOTED = "note"  # worth knowing, and no harm
    UNKNOWN = "unknown"  # could not be looked at, which need not be bad
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the table."""

    check: str  # such as "rights"
    subject: str  # such as "create pods"
    status: Status
    message: str = ""  # what was seen, one sentence without a full stop
    advice: str = ""  # what to do about it, an imperative; empty where nothing is to be done

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "check": self.check,
            "subject": self.subject,
            "status": self.status.value,
            "message": self.message,
            "advice": self.advice,
        }


def is_well(findings: Iterable[Finding]) -> bool:
    """Return whether nothing is wrong; what is unknown is no reason to fail."""
    return all(found.status is not Status.WRONG for found in findings)
