"""Formats values for people: untrusted text, durations, times, amounts and tables."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from reprlib import Repr
from typing import Any
from urllib.parse import urlsplit

# --- Text that others chose ---

LONGEST = 60
"""The longest quotation of a string or an object, in characters. A list or mapping shows its first items."""

ENDLESS = 10**4300
"""The limit beyond which Python refuses to print a number."""


class _Short(Repr):
    def repr_int(self, x: int, level: int) -> str:
        return "a number without end" if abs(x) >= ENDLESS else super().repr_int(x, level)


_short = _Short()
_short.maxstring = _short.maxother = LONGEST


def quoted(value: Any) -> str:
    """Return the value's repr, shortened for a message. Never raises."""
    return _short.repr(value)


_KINDS: tuple[tuple[Any, str], ...] = (
    (type(None), "nothing"),
    (bool, "true or false"),
    (int | float, "a number"),
    (str, "a string"),
    (list | tuple, "a list"),
    (Mapping, "a dictionary"),
)


def kind_of(value: Any) -> str:
    """Return the kind of a value, without the value."""
    named = (kind for types, kind in _KINDS if isinstance(value, types))
    return next(named, f"a value of type {type(value).__name__}")


def printable(text: str) -> str:
    r"""Return the text with escapes for control and format characters, surrogates, and all spaces but the plain one.

    Such a character could end a line, move a terminal's cursor, or reverse the direction of the text. Escapes are those of
    Python's literals, such as ``\n`` and ``\u202e``. Backslashes stay, so that a second call changes nothing.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )


def in_key_order(keys: Iterable[Any]) -> list[Any]:
    """Return the keys of a configured dictionary, sorted; numbers among strings, as YAML may produce, count as strings."""
    try:
        return sorted(keys)
    except TypeError:
        return sorted(keys, key=str)


def nearest(word: object, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """Return the known word that is most like this one, for "did you mean ...?"; empty: none is like it."""
    return next(iter(get_close_matches(str(word), known, n=1, cutoff=likeness)), "")


def is_http_url(value: object) -> bool:
    """Return whether the value is an HTTP URL with a host."""
    if not isinstance(value, str):
        return False
    try:
        url = urlsplit(value)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # an unmatched bracket, or a port beyond 65535
        return False


def has_credentials(text: str) -> bool:
    """Return whether a URL, well-formed or not, seems to contain a user or a password."""
    return "@" in re.split("[/?#]", text.partition("://")[2] or text, maxsplit=1)[0]


def without_secrets(text: str) -> str:
    """Return scheme, host and port only: a webhook's user, path and query may be secret."""
    url = urlsplit(text)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}"


# --- Durations, times, amounts ---

Units = Sequence[tuple[str, str, int]]
"""Singular, plural and seconds of each unit, the largest first."""

UNITS: Units = (("day", "days", 86_400), ("h", "h", 3_600), ("min", "min", 60), ("s", "s", 1))
LETTERS: Units = (("d", "d", 86_400), *UNITS[1:])


def format_duration(length: timedelta, units: Units = UNITS, *, parts: int = 2) -> str:
    """Return a duration such as "1 day 2 h", "2 min 30 s" or "40 s": the largest unit, and with two parts the next one."""
    seconds = max(0, int(length.total_seconds()))
    first = next((at for at, (*_, size) in enumerate(units) if seconds >= size), len(units) - 1)
    said: list[str] = []
    for one, many, size in units[first : first + parts]:
        number, seconds = divmod(seconds, size)
        if number or not said:
            said.append(f"{number} {one if number == 1 else many}")
    return " ".join(said)


def format_time(at: datetime) -> str:
    """Return a time such as "2026-07-01 12:00 UTC"."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def format_second(at: datetime) -> str:
    """Return a time such as "2026-07-01 12:00:05 UTC"."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def format_clock(at: datetime, now: datetime) -> str:
    """Return a time of today such as "12:00 UTC"; for other days, `format_time`."""
    utc = at.astimezone(UTC)
    return f"{utc:%H:%M} UTC" if utc.date() == now.astimezone(UTC).date() else format_time(utc)


def format_relative(at: datetime, now: datetime) -> str:
    """Return a relative time such as "in 5 min" or "5 min ago", with seconds only below ten minutes."""
    length = abs(at - now)
    if length < timedelta(seconds=1):
        return "now"
    if length >= timedelta(minutes=10):
        length -= length % timedelta(minutes=1)
    return f"in {format_duration(length)}" if at > now else f"{format_duration(length)} ago"


def counted(number: int, what: str) -> str:
    """Return a number with its noun, such as "1 server" or "2 servers"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# --- Messages and tables ---

Message = tuple[str | datetime, ...]
"""A message in parts. Times stay times: pages show them in the reader's time zone, everything else in UTC."""


def message_text(message: Message) -> str:
    """Return a message as text, with times in UTC."""
    return "".join(format_time(part) if isinstance(part, datetime) else part for part in message)


def paragraph_of(sentences: Sequence[str]) -> str:
    """Return sentences one after the other, each but the last with its full stop if it has no mark of its own."""
    *first, last = sentences
    return " ".join([*(each if each.endswith((".", "?", "!")) else f"{each}." for each in first), last])


def format_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
