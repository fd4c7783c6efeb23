"""The table of what the real API server says, what the user reads, and when the start fails."""

import pytest

from tests.diagnosis.recorded import FOLDER
from tests.diagnosis.table import DOCUMENT, Reported, documented, rows

# Longer than a start is given; whatever has not failed by then waits for the deadline.
LONG = 900
# Between the first object of a recording and the trouble it shows lie some seconds of the real cluster's.
PRELUDE = 15

IDS = [f"{type(row).__name__}-{row.file}" for row in rows()]


@pytest.mark.parametrize("row", rows(), ids=IDS)
def test_the_user_reads_one_sentence_and_the_metric_one_reason(row):
    diagnosis = row.answer(LONG)
    assert diagnosis.sentence == row.sentence
    assert (diagnosis.stage, diagnosis.reason) == (row.stage, row.reason)


@pytest.mark.parametrize("row", rows(), ids=IDS)
def test_a_start_fails_when_it_should_and_not_before(row):
    if row.fatal_after is None:
        assert not row.answer(LONG).fatal
    else:
        assert row.answer(row.fatal_after + PRELUDE).fatal
        assert row.fatal_after == 0 or not row.answer(row.fatal_after - 1).fatal


@pytest.mark.parametrize("row", [row for row in rows() if row.meanwhile], ids=lambda row: row.file)
def test_until_then_the_user_reads_another_one(row):
    assert row.answer(1).sentence == row.meanwhile


@pytest.mark.parametrize("row", rows(), ids=IDS)
def test_the_administrator_gets_the_clusters_own_words(row):
    if row.reason is not None:
        assert row.answer(LONG).detail


def test_the_docs_show_this_table():
    """If this fails: python -m tests.diagnosis.table."""
    text = DOCUMENT.read_text()
    assert text == documented(text)


def test_nothing_that_was_recorded_is_left_out():
    """What no start meets: conflicts and the end of a watch are other packages' matters."""
    others = {"already_exists", "conflict_uid", "gone_list", "gone_watch", "not_found"}
    assert {path.stem for path in FOLDER.glob("*.json")} - others == {
        row.file for row in rows() if not isinstance(row, Reported)
    }
