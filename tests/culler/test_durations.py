"""Durations as admins write them."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.culler.core.mistakes import BadOption
from k8s_hub.culler.core.rules import parse_duration, parse_limit


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (90, timedelta(seconds=90)),
        ("90", timedelta(seconds=90)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("15 min", timedelta(minutes=15)),
        (" 15  minutes ", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("2 hours", timedelta(hours=2)),
        ("1d 12h", timedelta(days=1, hours=12)),
        ("1h30m", timedelta(minutes=90)),
        ("1 week 1 day 1 hour 1 min 1 sec", timedelta(weeks=1, days=1, hours=1, minutes=1, seconds=1)),
        ("0h 1s", timedelta(seconds=1)),
        (1_000_000_000, timedelta(seconds=1_000_000_000)),
    ],
)
def test_what_is_meant(written, meant):
    assert parse_duration(written) == meant
    assert parse_limit(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        True,
        False,
        None,
        1.5,
        float("nan"),
        "",
        " ",
        "h",
        "1.5h",
        "-5m",
        "15 M",
        "1h 1h",
        "1m 1h",
        "1e3",
        "010",
        "08",
        "00",
        "1:30",
        "\N{ARABIC-INDIC DIGIT THREE}m",
        "\N{FULLWIDTH DIGIT FIVE}",
        [],
        {},
    ],
)
def test_what_makes_no_sense_is_refused_with_path_and_value(written):
    with pytest.raises(BadOption) as refused:
        parse_duration(written, "rules[0].timeout")
    assert str(refused.value) == (
        f"rules[0].timeout: {written!r} is not a duration such as 900 (seconds), 15m or 1d 12h"
    )


@pytest.mark.parametrize("written", [-1, 1_000_000_001, "1700w", 10**30, "9999999999"])
def test_what_is_out_of_bounds_is_refused_with_path_and_value(written):
    with pytest.raises(BadOption) as refused:
        parse_limit(written, "rules[0].max_age")
    assert str(refused.value) == f"rules[0].max_age: {written!r} is not between one second and 31 years"


@pytest.mark.parametrize("written", [0, "0", "0s", "0h 0m", "never"])
def test_never(written):
    assert parse_limit(written) is None
    with pytest.raises(BadOption):
        parse_duration(written)


def test_a_number_that_cannot_even_be_written_is_refused():
    with pytest.raises(BadOption, match=r"^timeout: a number without end is not between"):
        parse_duration(10**5000, "timeout")


@given(st.integers(1, 1_000_000_000))
def test_a_duration_in_all_units_is_the_same_as_in_seconds(seconds):
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    assert (
        parse_duration(f"{days}d {hours}h {minutes}m {rest}s")
        == parse_duration(seconds)
        == timedelta(seconds=seconds)
    )


@given(st.one_of(st.text(), st.text("0123456789 wdhmsin"), st.integers(), st.floats(), st.none()))
def test_junk_is_refused_or_a_duration_within_bounds(junk):
    for read in (parse_duration, parse_limit):
        with suppress(BadOption):
            duration = read(junk)
            assert duration is None or timedelta() < duration <= timedelta(seconds=1_000_000_000)
