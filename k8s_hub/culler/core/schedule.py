"""Schedules: windows of local time, every week or on certain dates, in which a rule applies.

The wall clock decides: a window applies while the clock of its time zone shows a time in it. When that clock jumps
forward, the skipped times are in no window. When it goes back, repeated times are in their windows twice.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from k8s_hub.culler.core.mistakes import BadOption, every
from k8s_hub.culler.core.reading import mapping, one_or_more, text
from k8s_hub.text import nearest, quoted

_PLACES = {
    "PST PDT PT": "America/Los_Angeles",
    "MST MDT MT": "America/Denver",
    "CST": "America/Chicago or Asia/Shanghai",
    "CDT CT": "America/Chicago",
    "EST EDT ET": "America/New_York",
    "AKST AKDT": "America/Anchorage",
    "GMT BST": "Europe/London",
    "WEST": "Europe/Lisbon",
    "CEST MEZ MESZ": "Europe/Berlin",
    "EEST": "Europe/Athens",
    "MSK": "Europe/Moscow",
    "IST": "Asia/Kolkata, Asia/Jerusalem or Europe/Dublin",
    "SGT": "Asia/Singapore",
    "HKT": "Asia/Hong_Kong",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "AEST AEDT": "Australia/Sydney",
    "AWST": "Australia/Perth",
    "NZST NZDT": "Pacific/Auckland",
}
_PLACE_OF = {short: place for shorts, place in _PLACES.items() for short in shorts.split()}
"""Common abbreviations of time zones, with their names in the time zone database."""

_WITHOUT_SUMMER_TIME = frozenset({"EST", "MST", "GMT"})
"""Abbreviations that are also zones, but without summer time."""

_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])\s*0?([0-9]{1,2})(?::?00)?", re.IGNORECASE)
_TURNED_AROUND = re.compile("Etc/GMT([+-])([0-9]+)")


def zone_named(name: str, path: str) -> ZoneInfo:
    """Return a time zone; raise BadOption with ``path``."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown, an invalid name, or not a zone file
        raise BadOption(f"{path}: {quoted(name)} is not a time zone{_guess(name.strip())}") from None


def surprise(name: str) -> str | None:
    """Return a warning about this zone, or None."""
    if name in _WITHOUT_SUMMER_TIME:
        return f"{name} has no summer time. For the local time there, write {_PLACE_OF[name]}"
    if offset := _TURNED_AROUND.fullmatch(name):
        return (
            f"{name} means UTC{_turned(offset[1])}{offset[2]}, all year: the sign of these names is reversed"
        )
    return None


def _turned(sign: str) -> str:
    return "-" if sign == "+" else "+"


def _guess(name: str) -> str:
    """Return a suggestion as the end of a sentence."""
    if name.upper() in _PLACE_OF:
        return f"; did you mean {_PLACE_OF[name.upper()]}?"
    zones = available_timezones()
    if offset := _OFFSET.fullmatch(name):
        all_year = f"Etc/GMT{_turned(offset[1])}{offset[2]}"
        place = "; write a zone such as Europe/Berlin, which has summer time"
        return place + (f", or {all_year} for this offset all year" if all_year in zones else "")
    word = name.replace(" ", "_").casefold()
    same = [zone for zone in zones if word in {zone.casefold(), zone.rpartition("/")[2].casefold()}]
    if same:
        return f"; did you mean {min(same)}?"
    # Suggest places only: a similar abbreviation or offset would be another time.
    places = [zone for zone in zones if "/" in zone and not zone.startswith("Etc/")]
    similar = nearest(name, places, likeness=0.8)
    return f"; did you mean {similar}?" if similar else ", such as Europe/Berlin"


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(7))

_DAY = 24 * 60  # minutes
_ONE_DAY = timedelta(days=1)
_MIDNIGHT = time()
_HOURS = re.compile("([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})")
_AHEAD = 9
"""Days to look ahead: a weekly window changes within them."""

_EARLIEST, _LATEST = date(2000, 1, 1), date(2199, 12, 31)
"""Valid dates: others are a mistake, and would lead to dates that do not exist."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Days from the first to the last, inclusive."""

    first: date
    last: date

    def has(self, day: date) -> bool:
        """Return whether a day is one of them."""
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of some days. If the end is before the begin, it crosses midnight and belongs to the day of its begin."""

    zone: ZoneInfo
    weekdays: frozenset[int] = EVERY_DAY  # 0 is Monday
    dates: tuple[Span, ...] = ()  # empty: every week
    begin: int = 0  # minutes after midnight
    end: int = _DAY  # minutes after midnight, exclusive

    def holds(self, at: datetime) -> bool:
        """Return whether a moment is in it."""
        local = at.astimezone(self.zone)
        minute, today = local.hour * 60 + local.minute, local.date()
        if self.begin < self.end:
            return self.begin <= minute < self.end and self._begins_on(today)
        return (minute >= self.begin and self._begins_on(today)) or (
            minute < self.end and self._begins_on(today - _ONE_DAY)
        )

    def days_ahead(self, today: date) -> Iterator[date]:
        """Yield the days, in no order, on which it may next begin or end."""
        for span in (Span(today, today), *self.dates):
            yield from (span.first + step * _ONE_DAY for step in range(_AHEAD))
            # A night window of the last day ends on the next day.
            yield from (span.last + (1 - step) * _ONE_DAY for step in range(_AHEAD))

    def _begins_on(self, day: date) -> bool:
        return day.weekday() in self.weekdays and (
            not self.dates or any(span.has(day) for span in self.dates)
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """Windows of time; the schedule applies in each of them."""

    windows: tuple[Window, ...]

    def holds(self, at: datetime) -> bool:
        """Return whether a moment is in one of the windows."""
        return any(window.holds(at) for window in self.windows)

    @property
    def surprises(self) -> Sequence[str]:
        """Warnings about time zones."""
        found = (surprise(str(window.zone)) for window in self.windows)
        return tuple(dict.fromkeys(each for each in found if each is not None))

    def next_change(self, after: datetime) -> datetime | None:
        """Return when it next begins or ends; None: not within the days to look ahead."""
        return _next_change(self, after.astimezone(UTC).replace(second=0, microsecond=0))


def parse_schedule(raw: Any, path: str) -> Schedule:
    """Read a window or a list of windows; raise BadOption with ``path``."""
    return Schedule(tuple(_window(item, where) for where, item in one_or_more(raw, path)))


# --- Reading ---


def _window(raw: Any, path: str) -> Window:
    raw = mapping(raw, path, keys=("time_zone", "weekdays", "dates", "hours"))
    if not raw.keys() & {"weekdays", "dates", "hours"}:
        raise BadOption(f"{path}: needs weekdays, dates or hours")
    (begin, end), zone, weekdays, dates = every(
        lambda: _hours(raw["hours"], f"{path}.hours") if "hours" in raw else (0, _DAY),
        lambda: zone_named(text(raw.get("time_zone", "UTC"), f"{path}.time_zone"), f"{path}.time_zone"),
        lambda: _weekdays(raw["weekdays"], f"{path}.weekdays") if "weekdays" in raw else EVERY_DAY,
        lambda: _dates(raw["dates"], f"{path}.dates") if "dates" in raw else (),
    )
    return Window(zone=zone, weekdays=weekdays, dates=dates, begin=begin, end=end)


def _dates(raw: Any, path: str) -> tuple[Span, ...]:
    return tuple(sorted(_span(item, where) for where, item in one_or_more(raw, path)))


def _span(raw: Any, path: str) -> Span:
    """Read a date, or two with "to" between them. YAML makes a date of an unquoted one."""
    written = raw.isoformat() if type(raw) is date else text(raw, path)
    first, _, last = (part.strip() for part in written.partition(" to "))
    try:
        span = Span(date.fromisoformat(first), date.fromisoformat(last or first))
    except ValueError:
        raise BadOption(
            f"{path}: {quoted(written)} is not a date or range such as 2026-07-15 or 2026-07-13 to 2026-07-17"
        ) from None
    if not _EARLIEST <= span.first <= span.last <= _LATEST:
        raise BadOption(f"{path}: {quoted(written)} ends before it begins, or is not between 2000 and 2199")
    return span


def _weekdays(raw: Any, path: str) -> frozenset[int]:
    return frozenset(day for where, item in one_or_more(raw, path) for day in _days(text(item, where), where))


def _days(words: str, path: str) -> Iterator[int]:
    """Yield the days of a word such as "sat", "mon-fri" or "fri-mon"."""
    first, dash, last = words.partition("-")
    begin = _day(first, path)
    length = (_day(last, path) - begin) % 7 if dash else 0
    yield from ((begin + step) % 7 for step in range(length + 1))


def _day(word: str, path: str) -> int:
    name = word.strip().lower()
    if name not in DAYS:
        raise BadOption(
            f"{path}: {quoted(word)} is not a day; days are {', '.join(DAYS)}, and ranges such as mon-fri"
        )
    return DAYS.index(name)


def _hours(raw: Any, path: str) -> tuple[int, int]:
    written = text(raw, path)
    match = _HOURS.fullmatch("".join(written.split()))
    if match is None:
        raise BadOption(f"{path}: {quoted(written)} is not a range of hours such as 22:00-06:00")
    begin_hour, begin_minute, end_hour, end_minute = map(int, match.groups())
    begin, end = begin_hour * 60 + begin_minute, end_hour * 60 + end_minute
    if max(begin_minute, end_minute) > 59 or begin >= _DAY or end > _DAY:
        raise BadOption(f"{path}: {quoted(written)} has an invalid time; times are 00:00 to 24:00")
    if begin == end:
        raise BadOption(f"{path}: {quoted(written)} is empty; for the whole day, write 00:00-24:00")
    return begin, end


# --- Looking ahead ---


@lru_cache(maxsize=1024)
def _next_change(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the next change after a whole minute: clocks and windows change on whole minutes."""
    is_on = schedule.holds(after)
    turns = {turn for window in schedule.windows for turn in _turns(window, after)}
    return next((turn for turn in sorted(turns) if turn > after and schedule.holds(turn) != is_on), None)


def _turns(window: Window, after: datetime) -> Iterator[datetime]:
    """Yield the times in the next days when a window may begin or end, in UTC and in no order."""
    for day in set(window.days_ahead(after.astimezone(window.zone).date())):
        for minute in (window.begin, window.end):
            wall = datetime.combine(day, _MIDNIGHT) + timedelta(minutes=minute)
            yield from (wall.replace(tzinfo=window.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    for step in range(_AHEAD):
        yield from _clock_change(window.zone, after + step * _ONE_DAY, after + (step + 1) * _ONE_DAY)


def _clock_change(zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the time between two when the zone's clock changes, if it does."""

    def offset(at: datetime) -> timedelta | None:
        return at.astimezone(zone).utcoffset()

    before = offset(begin)
    if before == offset(end):
        return
    minute = timedelta(minutes=1)
    while end - begin > minute:
        middle = begin + (end - begin) // minute // 2 * minute
        begin, end = (middle, end) if offset(middle) == before else (begin, middle)
    yield end
