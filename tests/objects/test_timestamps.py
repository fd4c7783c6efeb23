import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.objects import timestamps

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text, moment",
    [
        ("2026-07-01T12:00:00Z", NOON),
        ("2026-07-01T12:00:00.250000Z", NOON + timedelta(milliseconds=250)),
        ("2026-07-01T12:00:00.123456789Z", NOON + timedelta(microseconds=123456)),
        ("2026-07-01T14:00:00+02:00", NOON),
    ],
)
def test_timestamps_are_read_with_and_without_fraction(text, moment):
    parsed = timestamps.parse(text)
    assert parsed == moment
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["2026-07-01T12:00:00", "2026-07-01", "yesterday", "0001-01-01T00:00:00+14:00", ""]
)
def test_what_names_no_moment_is_refused(text):
    with pytest.raises(ValueError, match=re.escape(text) or "''"):
        timestamps.parse(text)


def test_naive_datetimes_are_refused_in_writing():
    with pytest.raises(ValueError, match="no time zone"):
        timestamps.format_seconds(NOON.replace(tzinfo=None))


def test_time_zones_are_written_as_utc():
    eastern = NOON.astimezone(timezone(timedelta(hours=-5)))
    assert timestamps.format_seconds(eastern) == "2026-07-01T12:00:00Z"


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_what_was_written_is_read_back(moment):
    assert timestamps.parse(timestamps.format_seconds(moment)) == moment.replace(microsecond=0)
