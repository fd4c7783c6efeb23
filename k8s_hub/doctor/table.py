"""The findings as a table for people."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from k8s_hub.doctor.findings import Finding, Status
from k8s_hub.text import printable

HEADINGS = ("", "CHECK", "SUBJECT", "FINDING")


def lines(findings: Sequence[Finding]) -> list[str]:
    """Return the table, what is to be done below each line, and a line that counts."""
    rows = [
        HEADINGS,
        *(_row(one) for one in shortened(findings)),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    table = []
    for row, found in zip(rows, [None, *shortened(findings)], strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        table.append("  ".join([*cells, row[3]]).rstrip())
        if found is not None and found.advice:
            table.append(f"{' ' * (widths[0] + widths[1] + 4)}-> {printable(found.advice)}")
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
