import pytest

from k8s_hub.objects.quoting import LONGEST, quoted


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", ["text", 7, None, ["a", {"b": 1.5}]])
def test_a_short_value_is_quoted_as_it_is(value):
    assert quoted(value) == repr(value)


def test_a_long_one_is_cut():
    assert quoted("x" * 1_000_000) == f"'{'x' * (LONGEST - 1)}..."


# Made in the test: pytest itself cannot write them either.
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: 10**5_000, "a number with thousands of digits"),
        (lambda: [10**5_000], "a number with thousands of digits"),
        (lambda: {"a": -(10**4_300)}, "a number with thousands of digits"),
        (lambda: nested(100_000), "a value that is nested too deeply"),
        (lambda: {"a": nested(100_000)}, "a value that is nested too deeply"),
    ],
)
def test_what_python_cannot_write_is_named(make, expected):
    assert quoted(make()) == expected


def test_a_control_character_is_not_passed_on():
    assert quoted("\x1b[2J\n") == r"'\x1b[2J\n'"
