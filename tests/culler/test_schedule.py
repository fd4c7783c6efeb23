"""Windows of the week, against a clock that is read minute by minute."""

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_hub.culler.core.mistakes import BadOption
from k8s_hub.culler.core.rules import Rules
from k8s_hub.culler.core.schedule import _PLACES, DAYS, Schedule, parse_schedule

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
    window = {"time_zone": zone, "weekdays": days, "hours": hours}
    dates = draw(
        st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(-2, 3), st.integers(0, 9)), max_size=2)
    )
    if dates:
        firsts = [(day.date() + timedelta(days=ahead), length) for day, ahead, length in dates]
        window["dates"] = [f"{first} to {first + timedelta(days=length)}" for first, length in firsts]
    return window


CHANGES = [
    datetime(2026, month, day, tzinfo=UTC)
    for month, day in [(3, 8), (3, 28), (3, 29), (4, 4), (10, 3), (10, 24), (10, 25), (11, 1)]
]
"""Days on which clocks are put forward and back, and those before."""

MOMENTS = st.one_of(
    st.timedeltas(timedelta(), timedelta(days=730)).map(
        lambda after: datetime(2026, 1, 1, tzinfo=UTC) + after
    ),
    st.builds(
        lambda day, after: day + after,
        st.sampled_from(CHANGES),
        st.timedeltas(timedelta(), timedelta(days=2)),
    ),
)


def shows(window, at):
    """Read the clock on the wall, and the words of the window, like somebody who stands before them."""
    local_time = at.astimezone(ZoneInfo(window["time_zone"]))
    time = local_time.strftime("%H:%M")
    begin, end = window["hours"].split("-")
    today, yesterday = (begins_on(window, local_time.date() - timedelta(days=ago)) for ago in (0, 1))
    if begin < end:
        return today and begin <= time < end
    return (today and time >= begin) or (yesterday and time < end)


def begins_on(window, day):
    """Read the calendar."""
    is_date = any(
        first <= day.isoformat() <= last
        for first, last in (dates.split(" to ") for dates in window.get("dates", ()))
    )
    return day.strftime("%a").lower() in window["weekdays"] and (is_date or "dates" not in window)


@given(windows(), MOMENTS)
def test_a_window_holds_when_the_clock_on_the_wall_is_in_it(window, at):
    assert schedule(**window).holds(at) == shows(window, at)


@settings(max_examples=8, deadline=None)
@given(st.lists(windows(), min_size=1, max_size=2), MOMENTS)
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


# --- Dates ---

BERLIN = "Europe/Berlin"


def changes(subject, after):
    """Return all changes after a moment; there are few."""
    found = []
    while (change := subject.next_change(after)) is not None:
        found.append((change, subject.holds(change)))
        after = change
    return found


@pytest.mark.parametrize(
    "written", ["2026-07-15", ["2026-07-15"], date(2026, 7, 15), "2026-07-15 to 2026-07-15"]
)
def test_an_exam_day_is_foreseen_half_a_year_ahead(written):
    """YAML makes a date of what is not in quotes."""
    exam = schedule(dates=written, hours="08:00-12:00", time_zone=BERLIN)
    assert changes(exam, datetime(2026, 1, 1, tzinfo=UTC)) == [
        (local(BERLIN, 2026, 7, 15, 8), True),
        (local(BERLIN, 2026, 7, 15, 12), False),
    ]


def test_a_night_of_a_date_ends_on_the_next():
    night = schedule(dates="2026-07-15", hours="22:00-06:00", time_zone=BERLIN)
    assert not night.holds(local(BERLIN, 2026, 7, 15, 5))
    assert night.holds(local(BERLIN, 2026, 7, 16, 5))
    assert changes(night, datetime(2026, 1, 1, tzinfo=UTC)) == [
        (local(BERLIN, 2026, 7, 15, 22), True),
        (local(BERLIN, 2026, 7, 16, 6), False),
    ]


def test_weeks_of_exams_are_on_their_working_days_only():
    weeks = schedule(dates=["2026-07-13 to 2026-07-19", "2027-01-04"], weekdays="mon-fri")
    assert changes(weeks, datetime(2026, 7, 1, tzinfo=UTC)) == [
        (datetime(2026, 7, 13, tzinfo=UTC), True),
        (datetime(2026, 7, 18, tzinfo=UTC), False),
        (datetime(2027, 1, 4, tzinfo=UTC), True),
        (datetime(2027, 1, 5, tzinfo=UTC), False),
    ]


def test_dates_that_are_over_never_come_again():
    over = schedule(dates="2025-07-15")
    assert over.next_change(datetime(2026, 1, 1, tzinfo=UTC)) is None
    assert not over.holds(datetime(2026, 7, 15, tzinfo=UTC))


# --- Time zones ---


@pytest.mark.parametrize(
    ("written", "guess"),
    [
        ("PST", "; did you mean America/Los_Angeles?"),
        ("pdt", "; did you mean America/Los_Angeles?"),
        ("EDT", "; did you mean America/New_York?"),
        ("CEST", "; did you mean Europe/Berlin?"),
        ("CST", "; did you mean America/Chicago or Asia/Shanghai?"),
        ("IST", "; did you mean Asia/Kolkata, Asia/Jerusalem or Europe/Dublin?"),
        ("Berlin", "; did you mean Europe/Berlin?"),
        ("new york", "; did you mean America/New_York?"),
        ("Europe/Berln", "; did you mean Europe/Berlin?"),
        (
            "UTC+2",
            "; write a zone such as Europe/Berlin, which has summer time, or Etc/GMT-2 for this offset all year",
        ),
        (
            "-05:00",
            "; write a zone such as Europe/Berlin, which has summer time, or Etc/GMT+5 for this offset all year",
        ),
        ("UTC+15", "; write a zone such as Europe/Berlin, which has summer time"),
        ("India", ", such as Europe/Berlin"),
        ("Pacific Time", ", such as Europe/Berlin"),
        ("Etc/GMT+15", ", such as Europe/Berlin"),
        ("XYZ", ", such as Europe/Berlin"),
        ("", ", such as Europe/Berlin"),
    ],
)
def test_what_is_suggested_for_what_is_no_zone_is_the_same_clock(written, guess):
    with pytest.raises(BadOption) as refused:
        schedule(hours="08:00-18:00", time_zone=written)
    assert str(refused.value) == f"schedule.time_zone: {written!r} is not a time zone{guess}"


def test_every_suggestion_is_a_zone():
    for place in _PLACES.values():
        for zone in re.split(", | or ", place):
            assert ZoneInfo(zone)


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("EST", ["EST has no summer time", "America/New_York"]),
        ("MST", ["MST has no summer time", "America/Denver"]),
        ("GMT", ["GMT has no summer time", "Europe/London"]),
        ("Etc/GMT-2", ["Etc/GMT-2 means UTC+2, all year"]),
        ("Etc/GMT+5", ["Etc/GMT+5 means UTC-5, all year"]),
    ],
)
def test_a_clock_without_summer_time_is_told(zone, words):
    (sentence,) = schedule(hours="08:00-18:00", time_zone=zone).surprises
    assert all(word in sentence for word in words)
    rules = Rules.parse(
        [{"name": "days", "timeout": 60, "schedule": {"hours": "08:00-18:00", "time_zone": zone}}]
    )
    assert rules.surprises == (f"schedule of days: {sentence}",)


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/New_York", "America/Phoenix", "Asia/Tokyo", "EST5EDT", "CET"]
)
def test_a_place_or_a_clock_with_summer_time_is_no_surprise(zone):
    assert schedule(hours="08:00-18:00", time_zone=zone).surprises == ()


# --- Refused ---


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (None, "s: must be a mapping, not None"),
        ([], "s: is an empty list; remove the key instead"),
        ({}, "s: needs weekdays, dates or hours"),
        ({"time_zone": "UTC"}, "s: needs weekdays, dates or hours"),
        ({"hour": "08:00-10:00"}, "s.hour: is unknown; did you mean hours?"),
        ([{"hours": "08:00-10:00"}, {"days": "mon"}], "s[1].days: is unknown; did you mean weekdays?"),
        ({True: "mon"}, "s.True: is unknown; known keys are dates, hours, time_zone, weekdays"),
        ({"date": "2026-07-15"}, "s.date: is unknown; did you mean dates?"),
        (
            {"dates": "15.7.2026"},
            "s.dates: '15.7.2026' is not a date or range such as 2026-07-15 or 2026-07-13 to 2026-07-17",
        ),
        (
            {"dates": ["2026-07-15", "2026-02-30"]},
            "s.dates[1]: '2026-02-30' is not a date or range such as 2026-07-15 or 2026-07-13 to 2026-07-17",
        ),
        (
            {"dates": "2026-07-17 to 2026-07-13"},
            "s.dates: '2026-07-17 to 2026-07-13' ends before it begins, or is not between 2000 and 2199",
        ),
        (
            {"dates": "9999-12-31"},
            "s.dates: '9999-12-31' ends before it begins, or is not between 2000 and 2199",
        ),
        ({"dates": 20260715}, "s.dates: must be text, not 20260715; put it in quotes"),
        (
            {"dates": datetime(2026, 7, 15)},  # noqa: DTZ001 - as YAML reads a date with a time
            "s.dates: must be text, not datetime.datetime(2026, 7, 15, 0, 0)",
        ),
        ({"dates": []}, "s.dates: is an empty list; remove the key instead"),
        ({"hours": "8-10"}, "s.hours: '8-10' is not a range of hours such as 22:00-06:00"),
        ({"hours": "08:60-10:00"}, "s.hours: '08:60-10:00' has an invalid time; times are 00:00 to 24:00"),
        ({"hours": "24:00-10:00"}, "s.hours: '24:00-10:00' has an invalid time; times are 00:00 to 24:00"),
        ({"hours": "08:00-24:01"}, "s.hours: '08:00-24:01' has an invalid time; times are 00:00 to 24:00"),
        ({"hours": "08:00-08:00"}, "s.hours: '08:00-08:00' is empty; for the whole day, write 00:00-24:00"),
        ({"hours": 750}, "s.hours: must be text, not 750; put it in quotes"),
        ({"hours": None}, "s.hours: must be text, not None"),
        (
            {"weekdays": ["mon", "Monday"]},
            "s.weekdays[1]: 'Monday' is not a day; days are mon, tue, wed, thu, fri, sat, sun, and ranges such as mon-fri",
        ),
        ({"weekdays": []}, "s.weekdays: is an empty list; remove the key instead"),
        ({"weekdays": [5]}, "s.weekdays[0]: must be text, not 5; put it in quotes"),
        (
            {"hours": "08:00-10:00", "time_zone": "europe/berlin"},
            "s.time_zone: 'europe/berlin' is not a time zone; did you mean Europe/Berlin?",
        ),
        (
            {"hours": "08:00-10:00", "time_zone": "../../passwd"},
            "s.time_zone: '../../passwd' is not a time zone, such as Europe/Berlin",
        ),
        (
            {"hours": "08:00-10:00", "time_zone": 1},
            "s.time_zone: must be text, not 1; put it in quotes",
        ),
    ],
)
def test_refusals_name_the_key_and_the_value(written, sentence):
    with pytest.raises(BadOption) as refused:
        parse_schedule(written, "s")
    assert str(refused.value) == sentence


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "time_zone": st.text(max_size=30),
            "dates": st.one_of(
                st.text("2026-0715 to", max_size=24), st.dates(), st.lists(st.dates(), max_size=3)
            ),
            "weekdays": st.one_of(st.text(max_size=10), st.lists(st.text("monfri-", max_size=7), max_size=3)),
            "hours": st.one_of(st.text(max_size=12), st.text("0123456789:- ", max_size=12)),
        },
    )
)
def test_junk_is_refused_or_a_schedule(junk):
    with suppress(BadOption):
        made = parse_schedule(junk, "s")
        assert isinstance(made, Schedule)
        made.next_change(datetime(2026, 7, 1, tzinfo=UTC))
