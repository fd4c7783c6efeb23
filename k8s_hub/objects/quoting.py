"""Foreign values as a message quotes them: short, in one line, whatever they are."""

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


def shown(value: Any) -> str:
    """Return a value as Python writes it, cut to what is readable in a message; raise nothing."""
    return _short.repr(value)
