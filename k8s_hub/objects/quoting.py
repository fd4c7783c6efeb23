"""Foreign values in messages: short, on one line, and never an error of their own."""

from typing import Any

LONGEST = 200  # characters


def quoted(value: Any) -> str:
    """Return a value as Python writes it, cut to what is readable in a sentence."""
    try:
        text = repr(value)
    except RecursionError:  # just shallow enough to be decoded
        return "a value that is nested too deeply"
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number with thousands of digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
