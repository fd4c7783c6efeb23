"""Mistakes in the options of a culler, gathered so that an administrator reads all of them at once."""

from collections.abc import Callable, Sequence
from typing import Any


class BadOption(Exception):
    """Mistakes in options.

    Each message begins with the name of the option or variable, or with the path of a key, such as
    ``rules[2].match.user``.
    """

    @property
    def sentences(self) -> Sequence[str]:
        """One message for each mistake."""
        return self.args

    def __str__(self) -> str:
        return "; ".join(self.sentences)


def every(*readers: Callable[[], Any]) -> list[Any]:
    """Return what all readers return; raise one BadOption with the mistakes of all that raise it, each once."""
    values: list[Any] = []
    mistakes: list[str] = []
    for read in readers:
        try:
            values.append(read())
        except BadOption as error:
            mistakes += error.sentences
    if mistakes:
        raise BadOption(*dict.fromkeys(mistakes))
    return values
