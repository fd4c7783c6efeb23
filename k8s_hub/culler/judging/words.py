"""Durations and times in the words that people read."""

from datetime import datetime, timedelta

_UNITS = (("day", "days", 86_400), ("h", "h", 3_600), ("min", "min", 60), ("s", "s", 1))


def duration(length: timedelta) -> str:
    """Return for instance "1 day 2 h", "1 h 5 min" or "40 s": the two largest units; seconds only below a minute."""
    seconds = max(0, int(length.total_seconds()))
    if seconds >= 60:
        seconds -= seconds % 60
    parts = []
    for one, many, size in _UNITS:
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number} {one if number == 1 else many}")
    return " ".join(parts[:2]) or "0 s"


def moment(at: datetime) -> str:
    """Return for instance "2026-07-01 12:00 UTC"."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def relative(at: datetime, now: datetime) -> str:
    """Return for instance "in 5 min" or "5 min ago"."""
    if abs(at - now) < timedelta(seconds=1):
        return "now"
    return f"in {duration(at - now)}" if at > now else f"{duration(now - at)} ago"
