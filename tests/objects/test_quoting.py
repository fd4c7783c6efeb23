"""Foreign values in messages: short and printable, whatever they are."""

import pytest

from k8s_hub.objects.quoting import shown


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
        ({"a": 10**5000}, "{'a': a number without end}"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_written_as_python_writes_it(value, words):
    assert shown(value) == words


@pytest.mark.parametrize(
    "value",
    ["x" * 1_000_000, 10**4299, list(range(100_000)), {n: n for n in range(1000)}, nested(100_000)],
    ids=lambda value: type(value).__name__,
)
def test_what_is_long_or_deep_is_cut(value):
    assert len(shown(value)) < 200
