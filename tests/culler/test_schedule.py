"""Windows of the week, against a clock that is read minute by minute."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_hub.culler.ruling.reading import BadRule
from k8s_hub.culler.ruling.schedule import DAYS, Schedule, parse_schedule

MINUTE = timedelta(minutes=1)


def schedule(**window):
    return parse_schedule(window, "schedule")


def local(zone, *moment, fold=0):
    return datetime(*moment, tzinfo=ZoneInfo(zone), fold=fold)


def spans(subject, begin, end):
    """Return the stretches between two moments in which a schedule holds, found by looking at every minute."""
    found, now, since = [], begin, None
    while now <= end:
        holds = now < end and subject.holds(now)
        if holds and since is None:
            since = now
        if not holds and since is not None:
            found.append((since, now))
            since = None
        now += MINUTE
    return found


# --- By example ---


def test_a_window_over_midnight_belongs_to_the_day_it_begins_on():
    nights = schedule(time_zone="Europe/Berlin", weekdays="mon-fri", hours="22:00-06:00")
    friday, saturday, monday = (local("Europe/Berlin", 2026, 7, day) for day in (3, 4, 6))
    assert nights.holds(friday + timedelta(hours=22))
    assert nights.holds(saturday + timedelta(hours=5, minutes=59, seconds=59))
    assert not nights.holds(saturday + timedelta(hours=6))
    assert not nights.holds(saturday + timedelta(hours=22))
    assert not nights.holds(monday + timedelta(hours=1))  # would belong to Sunday
    assert nights.holds(monday + timedelta(hours=22))


def test_the_end_of_a_window_is_not_part_of_it_its_beginning_is():
    lecture = schedule(hours="08:00-10:00")
    assert not lecture.holds(datetime(2026, 7, 1, 7, 59, 59, 999_999, tzinfo=UTC))
    assert lecture.holds(datetime(2026, 7, 1, 8, tzinfo=UTC))
    assert lecture.holds(datetime(2026, 7, 1, 9, 59, 59, 999_999, tzinfo=UTC))
    assert not lecture.holds(datetime(2026, 7, 1, 10, tzinfo=UTC))


def test_without_hours_whole_days_are_meant():
    weekend = schedule(weekdays=["sat", "sun"])
    assert spans(weekend, datetime(2026, 7, 3, tzinfo=UTC), datetime(2026, 7, 8, tzinfo=UTC)) == [
        (datetime(2026, 7, 4, tzinfo=UTC), datetime(2026, 7, 6, tzinfo=UTC))
    ]


def test_one_window_of_several_is_enough():
    off_peak = parse_schedule([{"hours": "18:00-08:00"}, {"weekdays": "sat-sun"}], "schedule")
    assert off_peak.holds(datetime(2026, 7, 1, 19, tzinfo=UTC))
    assert off_peak.holds(datetime(2026, 7, 4, 12, tzinfo=UTC))
    assert not off_peak.holds(datetime(2026, 7, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("written", "days"),
    [
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("Fri - Mon", {4, 5, 6, 0}),
        ("sun-sun", {6}),
        ("wed", {2}),
        (["mon-tue", "sat"], {0, 1, 5}),
    ],
)
def test_weekdays(written, days):
    assert schedule(weekdays=written).windows[0].weekdays == days


# --- Clocks that are put forward and back ---


def test_the_night_in_which_the_clock_is_put_forward_is_an_hour_shorter():
    nights = schedule(time_zone="Europe/Berlin", hours="22:00-06:00")
    [(begin, end)] = spans(
        nights,
        local("Europe/Berlin", 2026, 3, 28, 12).astimezone(UTC),
        local("Europe/Berlin", 2026, 3, 29, 12).astimezone(UTC),
    )
    assert end - begin == timedelta(hours=7)


def test_the_night_in_which_the_clock_is_put_back_is_an_hour_longer():
    nights = schedule(time_zone="Europe/Berlin", hours="22:00-06:00")
    [(begin, end)] = spans(
        nights,
        local("Europe/Berlin", 2026, 10, 24, 12).astimezone(UTC),
        local("Europe/Berlin", 2026, 10, 25, 12).astimezone(UTC),
    )
    assert end - begin == timedelta(hours=9)


def test_a_window_that_the_clock_skips_is_not_that_night():
    skipped = schedule(time_zone="Europe/Berlin", hours="02:15-02:45")
    begin = local("Europe/Berlin", 2026, 3, 29).astimezone(UTC)
    assert spans(skipped, begin, begin + timedelta(hours=12)) == []
    assert skipped.next_change(begin) == local("Europe/Berlin", 2026, 3, 30, 2, 15)


def test_a_window_that_the_clock_shows_twice_is_twice():
    twice = schedule(time_zone="Europe/Berlin", hours="02:15-02:45")
    begin = local("Europe/Berlin", 2026, 10, 25).astimezone(UTC)
    first, second = spans(twice, begin, begin + timedelta(hours=12))
    assert second[0] - first[0] == timedelta(hours=1)
    assert twice.next_change(first[1]) == second[0]


@pytest.mark.parametrize(
    ("hours", "day", "change"),
    [
        # At 01:00 UTC the clock goes from 02:00 to 03:00: into the window, past its beginning.
        ("02:30-04:00", (2026, 3, 29), datetime(2026, 3, 29, 1, tzinfo=UTC)),
        # At 01:00 UTC it goes from 03:00 to 02:00: out of the window that it had entered at 02:30.
        ("02:30-04:00", (2026, 10, 25, 2, 45), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ],
)
def test_a_clock_that_is_changed_can_begin_and_end_a_window(hours, day, change):
    subject = schedule(time_zone="Europe/Berlin", hours=hours)
    begin = local("Europe/Berlin", *day).astimezone(UTC)
    assert subject.next_change(begin) == change


# --- Against the clock on the wall ---


@st.composite
def windows(draw):
    """A window, and the same in words for a reading of its own."""
    zone = draw(
        st.sampled_from(
            # One is put forward by half an hour, one at midnight, one is a quarter off, one is never put forward.
            [
                "UTC",
                "Europe/Berlin",
                "America/New_York",
                "Australia/Lord_Howe",
                "Asia/Beirut",
                "Asia/Kathmandu",
            ]
        )
    )
    days = draw(st.lists(st.sampled_from(DAYS), min_size=1, unique=True))
    begin = draw(st.integers(0, 1439))
    end = draw(st.integers(0, 1440).filter(lambda minute: minute != begin))
    hours = f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    return {"time_zone": zone, "weekdays": days, "hours": hours}


MOMENTS = st.one_of(
    st.timedeltas(timedelta(), timedelta(days=730)).map(
        lambda after: datetime(2026, 1, 1, tzinfo=UTC) + after
    ),
    # Around the days on which clocks are put forward and back.
    st.builds(
        lambda day, after: day + after,
        st.sampled_from(
            [
                datetime(2026, month, day, tzinfo=UTC)
                for month, day in [(3, 8), (3, 28), (3, 29), (4, 4), (10, 3), (10, 24), (10, 25), (11, 1)]
            ]
        ),
        st.timedeltas(timedelta(), timedelta(days=2)),
    ),
)


def shows(window, at):
    """Read the clock on the wall, and the words of the window, like somebody who stands before them."""
    wall = at.astimezone(ZoneInfo(window["time_zone"])).strftime("%a %H:%M").lower()
    day, time = wall.split()
    begin, end = window["hours"].split("-")
    day_before = DAYS[DAYS.index(day) - 1]
    if begin < end:
        return day in window["weekdays"] and begin <= time < end
    return (day in window["weekdays"] and time >= begin) or (day_before in window["weekdays"] and time < end)


@given(windows(), MOMENTS)
def test_a_window_holds_when_the_clock_on_the_wall_is_in_it(window, at):
    assert schedule(**window).holds(at) == shows(window, at)


@settings(max_examples=15, deadline=None)
@given(st.lists(windows(), min_size=1, max_size=3), MOMENTS)
def test_between_two_changes_nothing_changes_and_at_each_it_does(written, begin):
    """The changes of eight days, one by one, are those that looking at the clock every minute finds."""
    subject = parse_schedule(written, "schedule")
    begin = begin.replace(second=0, microsecond=0)
    end = begin + timedelta(days=8)
    foreseen, now = [], begin
    while (change := subject.next_change(now)) is not None and change < end:
        foreseen.append(change)
        now = change
    minutes = (begin + MINUTE * index for index in range(1, 8 * 24 * 60))
    before, seen = any(shows(window, begin) for window in written), []
    for at in minutes:
        holds = any(shows(window, at) for window in written)
        if holds != before:
            seen.append(at)
        before = holds
    assert foreseen == seen


def test_what_always_holds_never_changes():
    assert schedule(hours="00:00-24:00").next_change(datetime(2026, 7, 1, tzinfo=UTC)) is None


def test_the_next_change_is_after_the_moment_within_its_minute():
    assert schedule(hours="08:00-10:00").next_change(
        datetime(2026, 7, 1, 7, 59, 59, 999_999, tzinfo=UTC)
    ) == datetime(2026, 7, 1, 8, tzinfo=UTC)


# --- Refused ---


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (None, "s: must be a mapping, not None"),
        ([], "s: is an empty list; leave it out where nothing is meant"),
        ({}, "s: has neither weekdays nor hours"),
        ({"time_zone": "UTC"}, "s: has neither weekdays nor hours"),
        ({"hour": "08:00-10:00"}, "s.hour: is unknown; is hours meant?"),
        ([{"hours": "08:00-10:00"}, {"days": "mon"}], "s[1].days: is unknown; is weekdays meant?"),
        ({True: "mon"}, "s.True: is unknown; there are hours, time_zone, weekdays"),
        ({"hours": "8-10"}, "s.hours: '8-10' is not such as 22:00-06:00"),
        ({"hours": "08:60-10:00"}, "s.hours: '08:60-10:00' has a time that no clock shows"),
        ({"hours": "24:00-10:00"}, "s.hours: '24:00-10:00' has a time that no clock shows"),
        ({"hours": "08:00-24:01"}, "s.hours: '08:00-24:01' has a time that no clock shows"),
        ({"hours": "08:00-08:00"}, "s.hours: '08:00-08:00' has no length; the whole day is 00:00-24:00"),
        ({"hours": 750}, "s.hours: must be a text, not 750 (in quotes it is one)"),
        ({"hours": None}, "s.hours: must be a text, not None"),
        (
            {"weekdays": ["mon", "Monday"]},
            "s.weekdays[1]: 'Monday' is no day; there are mon, tue, wed, thu, fri, sat, sun, and such as mon-fri",
        ),
        ({"weekdays": []}, "s.weekdays: is an empty list; leave it out where nothing is meant"),
        ({"weekdays": [5]}, "s.weekdays[0]: must be a text, not 5 (in quotes it is one)"),
        (
            {"hours": "08:00-10:00", "time_zone": "europe/berlin"},
            "s.time_zone: 'europe/berlin' is no time zone; is Europe/Berlin meant?",
        ),
        (
            {"hours": "08:00-10:00", "time_zone": "../../passwd"},
            "s.time_zone: '../../passwd' is no time zone, such as Europe/Berlin",
        ),
        (
            {"hours": "08:00-10:00", "time_zone": 1},
            "s.time_zone: must be a text, not 1 (in quotes it is one)",
        ),
    ],
)
def test_refusals_name_the_key_and_the_value(written, sentence):
    with pytest.raises(BadRule) as refused:
        parse_schedule(written, "s")
    assert str(refused.value) == sentence


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "time_zone": st.text(max_size=30),
            "weekdays": st.one_of(st.text(max_size=10), st.lists(st.text("monfri-", max_size=7), max_size=3)),
            "hours": st.one_of(st.text(max_size=12), st.text("0123456789:- ", max_size=12)),
        },
    )
)
def test_junk_is_refused_or_a_schedule(junk):
    with suppress(BadRule):
        assert isinstance(parse_schedule(junk, "s"), Schedule)
