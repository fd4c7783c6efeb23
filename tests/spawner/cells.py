"""The table of docs/lifecycle.md as tests name it: ``@cell("start, no pod", UP)``."""

from pathlib import Path

import pytest

UP = "API up"
SLOW = "API slow, 429, 5xx"
AWAY = "API away"
LOST = "reply to a create lost"

DOCUMENT = Path(__file__).parents[2] / "docs" / "lifecycle.md"

cell = pytest.mark.cell


def documented_cells() -> set[tuple[str, str]]:
    """Return (row, column) of each cell that says something."""
    section = DOCUMENT.read_text().partition("## The table\n")[2].partition("\n## ")[0]
    head, _rule, *rows = [_cells(line) for line in section.splitlines() if line.startswith("|")]
    return {
        (row[0].strip("*"), column)
        for row in rows
        for column, content in zip(head[1:], row[1:], strict=True)
        if content
    }


def _cells(line: str) -> list[str]:
    return [each.strip() for each in line.strip().strip("|").split("|")]
