"""How values are written for people, and what of others' text may be shown as it is."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.text import (
    LETTERS,
    counted,
    format_clock,
    format_duration,
    format_relative,
    format_table,
    format_time,
    message_text,
    nearest,
    printable,
    quoted,
)

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
BERLIN = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("", ""),
        ("ada/lab 2", "ada/lab 2"),
        ("zoë o'neill@example.org", "zoë o'neill@example.org"),
        ("名前-имя-नाम", "名前-имя-नाम"),
        (r"CORP\ada", r"CORP\ada"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[2Kgone\x07\x9b", r"\x1b[2Kgone\x07\x9b"),
        ("ada\u202egnp\u2066", r"ada\u202egnp\u2066"),
        ("a\u200bd\u00ada\ufeff", r"a\u200bd\xada\ufeff"),
        ("a\u2028b\u0085c", r"a\u2028b\x85c"),
        ("a\xa0b\u3000c", r"a\xa0b\u3000c"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_is_shown(given_text, shown):
    assert printable(given_text) == shown


@given(st.text(alphabet=st.characters()))
def test_all_that_is_left_can_be_seen_and_sent_and_stays_the_same(text):
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()  # raises for a surrogate
    assert printable(shown) == shown


# --- Quoted values ---


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("ada", "'ada'"),
        (7, "7"),
        (None, "None"),
        (["a", 1], "['a', 1]"),
        ("\x1b[2J\n\u202e", r"'\x1b[2J\n\u202e'"),
        ("\ud800", r"'\ud800'"),
        (10**5000, "a number without end"),
        ({"a": -(10**4300)}, "{'a': a number without end}"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_written_as_python_writes_it(value, words):
    assert quoted(value) == words


@pytest.mark.parametrize(
    "value",
    ["x" * 1_000_000, 10**4299, list(range(100_000)), {n: n for n in range(1000)}, nested(100_000)],
    ids=lambda value: type(value).__name__,
)
def test_what_is_long_or_deep_is_cut(value):
    assert len(quoted(value)) < 200


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (5400, "1 h 30 min"),
     (86_400, "1 day"), (2 * 86_400 + 3600 + 60, "2 days 1 h"), (86_400 + 60, "1 day"), (150, "2 min 30 s"), (3605, "1 h")],
)  # fmt: skip
def test_durations_in_words(seconds, said):
    assert format_duration(timedelta(seconds=seconds)) == said


def test_times_are_in_utc_whatever_their_zone():
    assert format_time(NOON.astimezone(BERLIN)) == "2026-07-01 12:00 UTC"
    assert format_clock(NOON.astimezone(BERLIN), NOON) == "12:00 UTC"
    assert format_clock(NOON + timedelta(hours=12), NOON) == "2026-07-02 00:00 UTC"


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
    assert format_relative(NOON + timedelta(seconds=seconds), NOON) == said


def test_a_sentence_with_a_time():
    assert message_text(("It stops at ", NOON, ", {not} earlier.")) == (
        "It stops at 2026-07-01 12:00 UTC, {not} earlier."
    )


def test_some_of_them():
    assert [counted(number, "server") for number in (0, 1, 2)] == ["0 servers", "1 server", "2 servers"]


def test_a_duration_as_its_largest_unit():
    seconds = (5, 61, 7300, 200_000)
    said = [format_duration(timedelta(seconds=each), LETTERS, parts=1) for each in seconds]
    assert said == ["5 s", "1 min", "2 h", "2 d"]


def test_columns_of_a_table_are_as_wide_as_they_need_to_be():
    assert format_table([("NAME", "AGE"), ("ada", "5 d"), ("christopher", "")]) == [
        "NAME         AGE",
        "ada          5 d",
        "christopher",
    ]


@pytest.mark.parametrize(
    ("word", "likeness", "found"),
    [("timeot", 0.6, "timeout"), ("timeot", 0.99, ""), ("memory", 0.6, ""), (7, 0.6, "")],
)
def test_the_nearest_of_the_known_words(word, likeness, found):
    assert nearest(word, ["timeout", "max_age"], likeness=likeness) == found
