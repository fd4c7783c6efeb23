"""Findings: what a check found, how bad it is, and what to do; and their table."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from itertools import groupby
from typing import Any

from k8s_hub.text import format_table, printable


class Status(Enum):
    """How bad a finding is; the value is printed."""

    FINE = "ok"
    NOTED = "note"  # worth knowing, but harmless
    UNKNOWN = "unknown"  # could not be checked
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the table."""

    check: str  # such as "rights"
    subject: str  # such as "create pods"
    status: Status
    message: str = ""  # what the check found: one sentence without a full stop
    advice: str = ""  # what to do, in the imperative; empty if nothing is to be done

    def as_json(self) -> dict[str, Any]:
        """Return the finding as JSON."""
        return {**asdict(self), "status": self.status.value}


def fine(check: str, subject: str, message: str = "") -> Finding:
    """Return a finding that all is well."""
    return Finding(check=check, subject=subject, status=Status.FINE, message=message)


def noted(check: str, subject: str, message: str, *, advice: str = "") -> Finding:
    """Return a finding that is worth knowing, but harmless."""
    return Finding(check=check, subject=subject, status=Status.NOTED, message=message, advice=advice)


def unknown(check: str, subject: str, message: str, *, advice: str = "") -> Finding:
    """Return a finding about something that could not be checked."""
    return Finding(check=check, subject=subject, status=Status.UNKNOWN, message=message, advice=advice)


def not_served(check: str, subject: str, what: str) -> Finding:
    """Return the finding that the API server does not have this kind of object: no other account sees more."""
    return unknown(check, subject, f"this API server has no {what}, like the demo's mini cluster")


def wrong(check: str, subject: str, message: str, *, advice: str = "") -> Finding:
    """Return a finding of something that must be corrected."""
    return Finding(check=check, subject=subject, status=Status.WRONG, message=message, advice=advice)


def is_well(findings: Iterable[Finding]) -> bool:
    """Return whether nothing is wrong; unknown findings do not count as wrong."""
    return all(found.status is not Status.WRONG for found in findings)


# --- The table ---

HEADINGS = ("", "CHECK", "SUBJECT", "FINDING")


def findings_table(findings: Sequence[Finding]) -> list[str]:
    """Return the table with the advice below each line, and a last line with the counts."""
    shown = shortened(findings)
    head, *lines = format_table([HEADINGS, *map(_row, shown)])
    indent = " " * head.index(HEADINGS[2])
    table = [head]
    for line, found in zip(lines, shown, strict=True):
        table += [line, f"{indent}-> {printable(found.advice)}"] if found.advice else [line]
    return [*table, in_short(findings)]


def shortened(findings: Sequence[Finding]) -> list[Finding]:
    """Merge neighbouring findings of one check that are fine and have no message."""
    return [one for _, group in groupby(findings, key=_kind) for one in _joined(list(group))]


def in_short(findings: Sequence[Finding]) -> str:
    """Return the number of findings of each status."""
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
