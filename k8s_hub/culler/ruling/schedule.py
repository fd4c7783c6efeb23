"""Schedules: windows of local time, week after week, in which a rule holds.

The wall clock decides: a window is in force whenever the clock of its time zone shows a time in it. On the night
when that clock jumps forward, times that it skips are in no window; when it goes back, those that it shows twice
are in their windows twice.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from k8s_hub.culler.ruling.reading import BadRule, mapping, one_or_more, shown, suggestion, text

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(7))

_DAY = 24 * 60  # minutes
_HOURS = re.compile("([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})")
_AHEAD = 9
"""Days: whatever repeats every week changes within them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of some days of each week; over midnight, where it ends before it begins."""

    zone: ZoneInfo
    weekdays: frozenset[int] = EVERY_DAY  # on which it begins; 0 is Monday
    begin: int = 0  # minutes after midnight
    end: int = _DAY  # minutes after midnight; not part of it

    def holds(self, at: datetime) -> bool:
        """Return whether a moment is in it."""
        local = at.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        today, yesterday = local.weekday(), (local.weekday() - 1) % 7
        if self.begin < self.end:
            return today in self.weekdays and self.begin <= minute < self.end
        return (today in self.weekdays and minute >= self.begin) or (
            yesterday in self.weekdays and minute < self.end
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """Windows, of which one is enough."""

    windows: tuple[Window, ...]

    def holds(self, at: datetime) -> bool:
        """Return whether a moment is in one of the windows."""
        return any(window.holds(at) for window in self.windows)

    def next_change(self, after: datetime) -> datetime | None:
        """Return when it next begins or ceases to hold; None: not in the days that can be foreseen."""
        return _next_change(self, after.astimezone(UTC).replace(second=0, microsecond=0))


def parse_schedule(raw: Any, path: str) -> Schedule:
    """Read a window or a list of windows; raise BadRule, which begins with the path."""
    return Schedule(tuple(_window(item, where) for where, item in one_or_more(raw, path)))


# --- Reading ---


def _window(raw: Any, path: str) -> Window:
    raw = mapping(raw, path, keys=("time_zone", "weekdays", "hours"))
    if not raw.keys() & {"weekdays", "hours"}:
        raise BadRule(f"{path}: has neither weekdays nor hours")
    begin, end = _hours(raw["hours"], f"{path}.hours") if "hours" in raw else (0, _DAY)
    return Window(
        zone=_zone(raw.get("time_zone", "UTC"), f"{path}.time_zone"),
        weekdays=_weekdays(raw["weekdays"], f"{path}.weekdays") if "weekdays" in raw else EVERY_DAY,
        begin=begin,
        end=end,
    )


def _zone(raw: Any, path: str) -> ZoneInfo:
    name = text(raw, path)
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown, no name, or a file that holds no zone
        guess = suggestion(name, available_timezones()) or ", such as Europe/Berlin"
        raise BadRule(f"{path}: {shown(name)} is no time zone{guess}") from None


def _weekdays(raw: Any, path: str) -> frozenset[int]:
    return frozenset(day for where, item in one_or_more(raw, path) for day in _days(text(item, where), where))


def _days(words: str, path: str) -> Iterator[int]:
    """Yield the days of a word such as "sat" or "mon-fri"; "fri-mon" is over the weekend."""
    first, dash, last = words.partition("-")
    begin = _day(first, path)
    length = (_day(last, path) - begin) % 7 if dash else 0
    yield from ((begin + step) % 7 for step in range(length + 1))


def _day(word: str, path: str) -> int:
    name = word.strip().lower()
    if name not in DAYS:
        raise BadRule(f"{path}: {shown(word)} is no day; there are {', '.join(DAYS)}, and such as mon-fri")
    return DAYS.index(name)


def _hours(raw: Any, path: str) -> tuple[int, int]:
    written = text(raw, path)
    match = _HOURS.fullmatch("".join(written.split()))
    if match is None:
        raise BadRule(f"{path}: {shown(written)} is not such as 22:00-06:00")
    begin_hour, begin_minute, end_hour, end_minute = map(int, match.groups())
    begin, end = begin_hour * 60 + begin_minute, end_hour * 60 + end_minute
    if max(begin_minute, end_minute) > 59 or begin >= _DAY or end > _DAY:
        raise BadRule(f"{path}: {shown(written)} has a time that no clock shows")
    if begin == end:
        raise BadRule(f"{path}: {shown(written)} has no length; the whole day is 00:00-24:00")
    return begin, end


# --- Looking ahead ---


@lru_cache(maxsize=1024)
def _next_change(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the next change after a whole minute: all clocks change on one, and so does every window."""
    is_on = schedule.holds(after)
    turns = {turn for window in schedule.windows for turn in _turns(window, after)}
    return next((turn for turn in sorted(turns) if turn > after and schedule.holds(turn) != is_on), None)


def _turns(window: Window, after: datetime) -> Iterator[datetime]:
    """Yield the moments of the next days when a window may begin or end, in UTC and in no order."""
    midnight = after.astimezone(window.zone).replace(hour=0, minute=0, tzinfo=None)
    for day in range(_AHEAD):
        for minute in (window.begin, window.end):
            wall = midnight + timedelta(days=day, minutes=minute)
            yield from (wall.replace(tzinfo=window.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        yield from _clock_change(window.zone, after + timedelta(days=day), after + timedelta(days=day + 1))


def _clock_change(zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the moment between two when the zone's clock is put forward or back, if it is."""

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
