"""The table of failures that were seen on real clusters: printed after a run, kept in docs/failures.md.

``pytest -m cluster --failure-table`` writes the rows that it sees into the document. Without the option a row whose
sentence or reason is not the document's fails its test; figures and the cluster's own words may differ.
"""

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[1] / "docs" / "failures.md"
HEAD = ["What happened", "What the user reads", "What the log says", "Reason", "Seconds"]
_DURATION = re.compile(r"\d+ (?:s|min|h)\b(?: \d+ (?:s|min)\b)?")
_TIMES = re.compile(r"\d+ times")
_IMAGE = re.compile(r"user:hub-\d")
_ADDRESS = re.compile(r"127\.0\.0\.1:\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One failure, as it was seen."""

    #: The heading under which it stands in the document.
    topic: str
    what: str
    sentence: str
    log: str
    reason: str
    seconds: str

    @property
    def cells(self) -> list[str]:
        reason = f"`{self.reason}`" if self.reason else ""
        return [_cell(text) for text in (self.what, self.sentence, self.log, reason, self.seconds)]


@dataclass(slots=True)
class FailureTable:
    """What one run of the tests has seen."""

    is_written: bool
    rows: list[Row] = field(default_factory=list)
    #: What the logs told of this package's callbacks above 50 ms, by the run they were seen in.
    slow_callbacks: dict[str, list[str]] = field(default_factory=dict)

    def see(self, row: Row) -> None:
        """Note a row; it must be the document's, unless the document is to be written."""
        self.rows.append(row)
        if self.is_written:
            return
        documented = {cells[0]: cells for cells in rows_of(DOCUMENT.read_text())[row.topic]}
        sentence, reason = documented[_cell(row.what)][1], documented[_cell(row.what)][3]
        assert (_timeless(row.cells[1]), row.cells[3]) == (_timeless(sentence), reason), (
            f"docs/failures.md says otherwise of {row.what!r}; if it is to change: pytest --failure-table"
        )


def rows_of(text: str) -> dict[str, list[list[str]]]:
    """Return the cells of each row of the document's tables, by heading."""
    topics: dict[str, list[list[str]]] = {}
    topic = ""
    for line in text.splitlines():
        if line.startswith("### "):
            topic = line.removeprefix("### ")
        elif line.startswith("| ") and topic:
            topics.setdefault(topic, []).append(re.split(r"(?<!\\) \| ", line[2:].removesuffix(" |")))
    return {topic: rows[1:] for topic, rows in topics.items()}


def documented(text: str, rows: list[Row]) -> str:
    """Return the document with these rows in the place of those of the same topic and name."""
    seen = {(row.topic, row.cells[0]): row.cells for row in rows}
    lines, topic = [], ""
    for line in text.splitlines():
        if line.startswith("### "):
            topic = line.removeprefix("### ")
        name = line[2:].partition(" | ")[0]
        lines.append(_line(seen.pop((topic, name), None)) or line)
        if line == "|---|---|---|---|---|":
            known = {cells[0] for cells in rows_of(text).get(topic, [])}
            new = [key for key in seen if key[0] == topic and key[1] not in known]
            lines += [_line(seen.pop(key)) for key in new]
    assert not seen, f"docs/failures.md has no heading for {sorted(topic for topic, _ in seen)}"
    return "\n".join(lines) + "\n"


def _line(cells: list[str] | None) -> str:
    return f"| {' | '.join(cells)} |" if cells else ""


def _cell(text: str) -> str:
    return _ADDRESS.sub("127.0.0.1:PORT", " ".join(text.split())).replace("|", "\\|")


def _timeless(text: str) -> str:
    """Without what differs from run to run, or with the hub's version."""
    return _IMAGE.sub("user:hub-N", _TIMES.sub("some times", _DURATION.sub("some time", text)))


# --- For pytest ---

_TABLE = pytest.StashKey[FailureTable]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--failure-table", action="store_true", help="write the failures seen into docs/failures.md"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TABLE] = FailureTable(is_written=config.getoption("--failure-table"))


@pytest.fixture(scope="session")
def failure_table(pytestconfig: pytest.Config) -> FailureTable:
    """Where tests note what they have seen of a failure."""
    return pytestconfig.stash[_TABLE]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give what one of several processes has seen to the one that prints."""
    table, output = session.config.stash[_TABLE], getattr(session.config, "workeroutput", None)
    if output is not None:
        output["failures seen"] = [asdict(row) for row in table.rows]
        output["slow callbacks"] = table.slow_callbacks


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    table, output = node.config.stash[_TABLE], getattr(node, "workeroutput", {})
    table.rows += [Row(**row) for row in output.get("failures seen", [])]
    table.slow_callbacks |= output.get("slow callbacks", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what all processes have seen, and write it where that is asked for."""
    table = config.stash[_TABLE]
    if table.is_written and table.rows:
        DOCUMENT.write_text(documented(DOCUMENT.read_text(), table.rows))
    if table.rows:
        terminalreporter.section("failures seen on the real cluster")
    for row in table.rows:
        terminalreporter.write_line(f"{row.what}  [{row.reason}]  {row.seconds} s")
        terminalreporter.write_line(f"    user: {row.sentence}")
        terminalreporter.write_line(f"    log:  {row.log}")
    for run, lines in table.slow_callbacks.items():
        terminalreporter.write_line(f"callbacks of k8s_hub above 50 ms, {run}: {len(lines)}")
        for line in lines:
            terminalreporter.write_line(f"    {line}")
