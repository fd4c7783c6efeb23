"""The table of what the real API server says, what the user reads, and when the start fails."""

import re

import pytest

from k8s_hub.diagnosis.diagnosis import NOT_STARTED
from tests.diagnosis.recorded import FOLDER
from tests.diagnosis.table import DOCUMENT, LONG, Found, Reported, documented, rows

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
        row.file for row in rows() if not isinstance(row, Reported | Found)
    }


# --- How the texts speak ---

WAYS_OUT = ("Ask", "Check", "Choose", "Contact", "Start", "Stop", "Try")
"""What the last sentence of a failure begins with: it says what to do, or whom to ask."""

FAILURES = sorted(
    {row.at_deadline or row.sentence for row in rows() if row.at_deadline or row.answer(LONG).fatal}
)
TEXTS = sorted({*FAILURES, *(text for row in rows() for text in (row.sentence, row.meanwhile) if text)})


def in_plain_words(text):
    """Leave out what explains a plain word in brackets, names in quotation marks, and quoted words of the cluster."""
    text = text.partition(" quote this: ")[0]
    return re.sub(r"\([^()]*\)|\"[^\"]*\"", "", text)


def test_a_failure_ends_with_what_to_do():
    last = {text: re.split(r"(?<=[.;]) ", in_plain_words(text))[-1] for text in FAILURES}
    way_out = (*WAYS_OUT, "if it keeps happening, contact", "ask your administrator")
    assert [text for text, sentence in last.items() if not sentence.startswith(way_out)] == []


def test_a_text_has_no_word_of_kubernetes_without_a_plain_one():
    jargon = re.compile(r"\b(pods?|nodes?|claims?|exit code|namespaces?|kubelet|probe)\b")
    assert [text for text in TEXTS if jargon.search(in_plain_words(text))] == []


def test_a_sentence_is_short():
    sentences = [each for text in TEXTS for each in re.split(r"(?<=[.:;]) ", in_plain_words(text))]
    assert [each for each in sentences if len(each.split()) > 25] == []


@pytest.mark.parametrize("row", [row for row in rows() if row.at_deadline], ids=lambda row: row.file)
def test_a_start_that_waits_has_words_of_its_own_for_the_deadline(row):
    assert row.at_deadline != NOT_STARTED.replace("{waited}", "5 min")
    assert row.sentence.removesuffix(".") not in row.at_deadline
    assert "{" not in row.at_deadline
