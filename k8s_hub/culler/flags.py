"""The command line before traitlets reads it: both spellings of a flag, nothing unknown, no value missing."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from itertools import zip_longest


class UsageError(Exception):
    """A flag that makes no sense; the message is for the admin."""


def normalised(
    arguments: Sequence[str], *, switches: AbstractSet[str], valued: AbstractSet[str]
) -> list[str]:
    """Write ``--cull_every`` as ``--cull-every``; raise UsageError for a flag that does not exist.

    switches: flags that mean something without a value; valued: flags that take one; some are both.
    ``--Class.trait=value`` and what is no flag (a value, for instance) pass as they are.
    """
    result = []
    for argument, following in zip_longest(arguments, arguments[1:]):
        if not _is_flag(argument):
            result.append(argument)
            continue
        flag, equals, value = argument.partition("=")
        name = flag.lstrip("-").replace("_", "-")
        if name not in switches | valued:
            raise UsageError(f"unknown flag {argument!r}{_suggestion(name, switches | valued)}")
        if name not in switches and not equals and (following is None or _is_flag(following)):
            raise UsageError(f"--{name} needs a value")
        result.append(flag.replace("_", "-") + equals + value)
    return result


def _is_flag(argument: str) -> bool:
    name = argument.partition("=")[0].lstrip("-")
    return argument.startswith("-") and "." not in name and not name.isdecimal()


def _suggestion(name: str, known: AbstractSet[str]) -> str:
    similar = get_close_matches(name, known, n=1)
    return f"; is --{similar[0]} meant?" if similar else ""
