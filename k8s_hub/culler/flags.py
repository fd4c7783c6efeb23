"""The command line before traitlets reads it: both spellings of a flag, nothing unknown, no value missing."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from itertools import zip_longest
from types import MappingProxyType


class UsageError(Exception):
    """A flag that makes no sense; the message is for the admin."""


def normalised(
    arguments: Sequence[str],
    *,
    switches: AbstractSet[str],
    valued: AbstractSet[str],
    secrets: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Write ``--cull_every`` as ``--cull-every``; raise UsageError for a flag that does not exist.

    switches: flags that mean something without a value; valued: flags that take one; some are both.
    secrets: by flag, what to use in place of it, because everybody can read a command line.
    What is no flag (a value, for instance) passes as it is.
    """
    known = switches | valued
    result = []
    for argument, following in zip_longest(arguments, arguments[1:]):
        if not _is_flag(argument):
            result.append(argument)
            continue
        flag, equals, value = argument.partition("=")
        dashes, name = _split(flag)
        if name in secrets:
            raise UsageError(
                f"--{name} is no flag, because everybody can read a command line: {secrets[name]}"
            )
        if name not in known or len(dashes) != (1 if len(name) == 1 else 2):
            shown = flag if "://" in value else argument  # a URL may hold a secret
            raise UsageError(f"unknown flag {shown!r}{_suggestion(name, known | secrets.keys())}")
        if name not in switches and not equals and (following is None or _is_flag(following)):
            raise UsageError(f"--{name} needs a value")
        written = dashes + name + equals + value
        if equals and written in result:  # an equal one says nothing new
            result.remove(written)
        result.append(written)
    return result


def _split(flag: str) -> tuple[str, str]:
    """Return a flag's dashes and its name, which is a trait's own in ``--Class.trait``."""
    name = flag.lstrip("-")
    return flag.removesuffix(name) if name else flag, name if "." in name else name.replace("_", "-")


def _is_flag(argument: str) -> bool:
    return argument.startswith("-") and not argument.lstrip("-").isdecimal()


def _suggestion(name: str, known: AbstractSet[str]) -> str:
    similar = get_close_matches(name, known, n=1)
    return f"; is --{similar[0]} meant?" if similar else ""
