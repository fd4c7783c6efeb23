"""The table of failures: kept in the document, compared with it, and nothing in it that no test brings about."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from k8s_hub.diagnosis.diagnosis import Reason
from tests.cluster.test_failures import STARTS as JUDGED
from tests.containers.test_failures import CRASHES, STARTS
from tests.failures import DOCUMENT, FailureTable, Row, documented, rows_of

ROOT = Path(__file__).parents[1]

ROW = Row(
    topic="While a server starts",
    what="No machine | has it.",
    sentence="None became free within 19 s.",
    log="Insufficient memory at 127.0.0.1:4711",
    reason="unschedulable",
    seconds="1.4",
)
EMPTY = """### While a server starts

| What happened | What the user reads | What the log says | Reason | Seconds |
|---|---|---|---|---|

### While a server runs

| What happened | What the user reads | What the log says | Reason | Seconds |
|---|---|---|---|---|
"""


def test_a_new_row_goes_under_its_heading():
    rows = rows_of(documented(EMPTY, [ROW]))
    assert rows == {
        "While a server starts": [
            [
                "No machine \\| has it.",
                "None became free within 19 s.",
                "Insufficient memory at 127.0.0.1:PORT",
                "`unschedulable`",
                "1.4",
            ]
        ],
        "While a server runs": [],
    }


def test_a_row_that_is_seen_again_takes_its_place():
    before = documented(EMPTY, [ROW, replace(ROW, what="Another.")])
    after = documented(before, [replace(ROW, seconds="9.9")])
    assert after == before.replace("| 1.4 |", "| 9.9 |", 1)


@pytest.mark.parametrize(
    ("seen", "is_fine"),
    [
        ({}, True),
        ({"sentence": "None became free within 1 min 5 s.", "seconds": "70", "log": "other words"}, True),
        ({"sentence": "There is none."}, False),
        ({"reason": "quota"}, False),
    ],
)
def test_a_row_must_say_what_the_document_says(tmp_path, monkeypatch, seen, is_fine):
    (tmp_path / "failures.md").write_text(documented(EMPTY, [ROW]))
    monkeypatch.setattr("tests.failures.DOCUMENT", tmp_path / "failures.md")
    row = replace(ROW, **seen)
    if is_fine:
        FailureTable(is_written=False).see(row)
    else:
        with pytest.raises(AssertionError, match="says otherwise"):
            FailureTable(is_written=False).see(row)


def test_the_document_has_every_fate_and_no_reason_of_its_own():
    rows = rows_of(DOCUMENT.read_text())
    starting, running = rows["While a server starts"], rows["While a server runs"]
    assert {cells[0] for cells in starting} == {case.what for case in STARTS + JUDGED}
    assert {cells[0] for cells in running} == {case.what for case in CRASHES}
    reasons = {cells[3].strip("`") for topic in rows.values() for cells in topic}
    assert reasons - {""} <= set(Reason)


@pytest.mark.slow
def test_what_several_processes_have_seen_is_printed_by_one(tmp_path):
    (tmp_path / "test_two.py").write_text(
        "import pytest\n"
        "from tests.failures import Row\n"
        "@pytest.mark.parametrize('name', ['one', 'two'])\n"
        "def test_it(failure_table, name):\n"
        "    failure_table.rows.append(Row(topic='t', what=f'case {name}', sentence='s', log='', reason='r', seconds='1'))\n"
        "    failure_table.slow_callbacks[name] = ['Slow callback: x']\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.failures",
        "-n2",
        "--dist=load",
        "-c/dev/null",
        str(tmp_path),
    ]

    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for name in ("one", "two"):
        assert printed.count(f"case {name}  [r]  1 s") == 1
        assert printed.count(f"callbacks of k8s_hub above 50 ms, {name}: 1") == 1
