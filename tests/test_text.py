"""Text of others: what may be shown as it is, and what is escaped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.text import printable, quoted


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
