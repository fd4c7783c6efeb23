"""How values are written for people: durations, times, amounts, tables, and text that others chose.

Such text (names of users and servers, their settings, URLs) is shown as logs, tables and pages may show it.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from reprlib import Repr
from typing import Any
from urllib.parse import urlsplit

# --- Text that others chose ---

LONGEST = 60
"""In characters, of a text or an object; a list or a mapping shows its first items."""

ENDLESS = 10**4300
"""What Python itself does not write as digits."""


class _Short(Repr):
    def repr_int(self, x: int, level: int) -> str:
        return "a number without end" if abs(x) >= ENDLESS else super().repr_int(x, level)


_short = _Short()
_short.maxstring = _short.maxother = LONGEST


def quoted(value: Any) -> str:
    """Return a value as Python writes it, cut to what is readable in a message; raise nothing."""
    return _short.repr(value)


_KINDS: tuple[tuple[Any, str], ...] = (
    (type(None), "nothing"),
    (bool, "true or false"),
    (int | float, "a number"),
    (str, "a text"),
    (list | tuple, "a list"),
    (Mapping, "a dictionary"),
)


def kind_of(value: Any) -> str:
    """Say what a value is without showing it."""
    named = (kind for types, kind in _KINDS if isinstance(value, types))
    return next(named, f"a value of type {type(value).__name__}")


def printable(text: str) -> str:
    r"""Return the text with an escape in place of each character that is not to be seen.

    Such a character could end a line, move a terminal's cursor, or turn the direction of what follows: control and
    format characters, all spaces but the plain one, surrogates. Escapes are those of Python's literals, such as
    ``\n`` and ``\u202e``. Backslashes stay as they are, so that to do it twice changes nothing.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def is_http_url(value: object) -> bool:
    """Return whether this is text, and the URL of a host that speaks HTTP."""
    if not isinstance(value, str):
        return False
    try:
        url = urlsplit(value)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # a bracket without its pair, a port beyond 65535
        return False


def has_credentials(text: str) -> bool:
    """Return whether a URL, well formed or not, seems to hold a user or a password."""
    return "@" in re.split("[/?#]", text.partition("://")[2] or text, maxsplit=1)[0]


def without_secrets(text: str) -> str:
    """Return scheme, host and port: a webhook's user, path and query may hold what nobody else should know."""
    url = urlsplit(text)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}"


# --- Durations, times, amounts ---

Units = Sequence[tuple[str, str, int]]
"""The name for one, the name for several, and the seconds of each, the largest first."""

UNITS: Units = (("day", "days", 86_400), ("h", "h", 3_600), ("min", "min", 60), ("s", "s", 1))
LETTERS: Units = (("d", "d", 86_400), *UNITS[1:])


def format_duration(length: timedelta, units: Units = UNITS, *, parts: int = 2) -> str:
    """Return for instance "1 day 2 h", "2 min 30 s" or "40 s": the largest unit, and with two parts the one below it."""
    seconds = max(0, int(length.total_seconds()))
    first = next((at for at, (*_, size) in enumerate(units) if seconds >= size), len(units) - 1)
    said: list[str] = []
    for one, many, size in units[first : first + parts]:
        number, seconds = divmod(seconds, size)
        if number or not said:
            said.append(f"{number} {one if number == 1 else many}")
    return " ".join(said)


def format_time(at: datetime) -> str:
    """Return for instance "2026-07-01 12:00 UTC"."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def format_clock(at: datetime, now: datetime) -> str:
    """Return for instance "12:00 UTC" where that is today, else `format_time`."""
    utc = at.astimezone(UTC)
    return f"{utc:%H:%M} UTC" if utc.date() == now.astimezone(UTC).date() else format_time(utc)


def format_relative(at: datetime, now: datetime) -> str:
    """Return for instance "in 5 min" or "5 min ago"; seconds only below ten minutes."""
    length = abs(at - now)
    if length < timedelta(seconds=1):
        return "now"
    if length >= timedelta(minutes=10):
        length -= length % timedelta(minutes=1)
    return f"in {format_duration(length)}" if at > now else f"{format_duration(length)} ago"


def counted(number: int, what: str) -> str:
    """Return for instance "1 server" or "2 servers"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# --- Messages and tables ---

Message = tuple[str | datetime, ...]
"""A message in parts. Its times are still times: a page shows them in its reader's zone, all else in UTC."""


def message_text(message: Message) -> str:
    """Return a message as text, its times in UTC."""
    return "".join(format_time(part) if isinstance(part, datetime) else part for part in message)


def format_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row, its columns as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
