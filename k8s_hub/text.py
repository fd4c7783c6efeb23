"""Text that others chose (names of users and servers, their settings), as logs, tables and pages may show it."""

from collections.abc import Mapping
from reprlib import Repr
from typing import Any

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
