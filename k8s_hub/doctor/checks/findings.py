"""Findings: what a check saw, how bad that is, and what to do; and all of them as a table for people."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import Any

from k8s_hub.text import format_table, printable


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


def fine(check: str, subject: str, message: str = "") -> Finding:
    """Return a finding that all is well."""
    return Finding(check=check, subject=subject, status=Status.FINE, message=message)


def noted(check: str, subject: str, message: str, *, advice: str = "") -> Finding:
    """Return a finding that is worth knowing, and no harm."""
    return Finding(check=check, subject=subject, status=Status.NOTED, message=message, advice=advice)


def unknown(check: str, subject: str, message: str, *, advice: str = "") -> Finding:
    """Return a finding about what could not be looked at."""
    return Finding(check=check, subject=subject, status=Status.UNKNOWN, message=message, advice=advice)


def wrong(check: str, subject: str, message: str, *, advice: str = "") -> Finding:
    """Return a finding of what is to be corrected."""
    return Finding(check=check, subject=subject, status=Status.WRONG, message=message, advice=advice)


def is_well(findings: Iterable[Finding]) -> bool:
    """Return whether nothing is wrong; what is unknown is no reason to fail."""
    return all(found.status is not Status.WRONG for found in findings)


# --- The table ---

HEADINGS = ("", "CHECK", "SUBJECT", "FINDING")


def findings_table(findings: Sequence[Finding]) -> list[str]:
    """Return the table, what is to be done below each line, and a line that counts."""
    shown = shortened(findings)
    head, *lines = format_table([HEADINGS, *map(_row, shown)])
    indent = " " * head.index(HEADINGS[2])
    table = [head]
    for line, found in zip(lines, shown, strict=True):
        table += [line, f"{indent}-> {printable(found.advice)}"] if found.advice else [line]
    return [*table, in_short(findings)]


def shortened(findings: Sequence[Finding]) -> list[Finding]:
    """Return them with neighbours of one check that are fine and say nothing as one."""
    return [one for _, group in groupby(findings, key=_kind) for one in _joined(list(group))]


def in_short(findings: Sequence[Finding]) -> str:
    """Return how many there are of each status."""
    amounts = Counter(found.status for found in findings)
    return ", ".join(f"{amounts[status]} {status.value}" for status in Status if amounts[status])


def _row(found: Finding) -> tuple[str, ...]:
    return tuple(map(printable, (found.status.value, found.check, found.subject, found.message)))


def _kind(found: Finding) -> tuple[str, bool]:
    return found.check, found.status is Status.FINE and not found.message


def _joined(group: Sequence[Finding]) -> Iterator[Finding]:
    if len(group) == 1 or not _kind(group[0])[1]:
        yield from group
    else:
        subject = f"{group[0].subject} ... {group[-1].subject}"
        yield Finding(check=group[0].check, subject=subject, status=Status.FINE, message=f"all {len(group)}")
