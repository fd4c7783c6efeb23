"""Durations and times in the words that people read."""

from datetime import UTC, datetime, timedelta

Message = tuple[str | datetime, ...]
"""A sentence in parts. Its times are still times: a page shows them in its reader's zone, all else in UTC."""

_UNITS = (("day", "days", 86_400), ("h", "h", 3_600), ("min", "min", 60), ("s", "s", 1))


def duration(length: timedelta) -> str:
    """Return for instance "1 day 2 h", "2 min 30 s" or "40 s": the largest unit, and the one below it."""
    seconds = max(0, int(length.total_seconds()))
    parts: list[str] = []
    for one, many, size in _UNITS:
        number, seconds = divmod(seconds, size)
        is_second = bool(parts)
        if number:
            parts.append(f"{number} {one if number == 1 else many}")
        if is_second:
            break
    return " ".join(parts) or "0 s"


def moment(at: datetime) -> str:
    """Return for instance "2026-07-01 12:00 UTC"."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def clock(at: datetime, now: datetime) -> str:
    """Return for instance "12:00 UTC" where that is today, else `moment`."""
    utc = at.astimezone(UTC)
    return f"{utc:%H:%M} UTC" if utc.date() == now.astimezone(UTC).date() else moment(utc)


def relative(at: datetime, now: datetime) -> str:
    """Return for instance "in 5 min" or "5 min ago"; seconds only below ten minutes."""
    length = abs(at - now)
    if length < timedelta(seconds=1):
        return "now"
    if length >= timedelta(minutes=10):
        length -= length % timedelta(minutes=1)
    return f"in {duration(length)}" if at > now else f"{duration(length)} ago"


def some(number: int, what: str) -> str:
    """Return for instance "1 server" or "2 servers"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def plain(message: Message) -> str:
    """Return a message as text, its times in UTC."""
    return "".join(moment(part) if isinstance(part, datetime) else part for part in message)
