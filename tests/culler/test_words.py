"""Durations, times and sentences in the words that people read."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from k8s_hub.culler.core import words

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
BERLIN = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (5400, "1 h 30 min"),
     (86_400, "1 day"), (2 * 86_400 + 3600 + 60, "2 days 1 h"), (86_400 + 60, "1 day"), (150, "2 min 30 s"), (3605, "1 h")],
)  # fmt: skip
def test_durations_in_words(seconds, said):
    assert words.duration(timedelta(seconds=seconds)) == said


def test_times_are_in_utc_whatever_their_zone():
    assert words.moment(NOON.astimezone(BERLIN)) == "2026-07-01 12:00 UTC"
    assert words.clock(NOON.astimezone(BERLIN), NOON) == "12:00 UTC"
    assert words.clock(NOON + timedelta(hours=12), NOON) == "2026-07-02 00:00 UTC"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.5, "now"),
        (90, "in 1 min 30 s"),
        (-90, "1 min 30 s ago"),
        (599, "in 9 min 59 s"),
        (601, "in 10 min"),
        (-3599, "59 min ago"),
        (7261, "in 2 h 1 min"),
    ],
)
def test_how_far_a_time_is(seconds, said):
    assert words.relative(NOON + timedelta(seconds=seconds), NOON) == said


def test_a_sentence_with_a_time():
    assert words.plain(("It stops at ", NOON, ", {not} earlier.")) == (
        "It stops at 2026-07-01 12:00 UTC, {not} earlier."
    )


def test_some_of_them():
    assert [words.some(number, "server") for number in (0, 1, 2)] == ["0 servers", "1 server", "2 servers"]
