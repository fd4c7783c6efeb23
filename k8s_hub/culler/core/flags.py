"""The command line before traitlets reads it: all spellings that a version of idle-culler took, and no mistakes.

Version 1.4 read its flags with tornado, version 2.0 with traitlets.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from types import MappingProxyType


class UsageError(Exception):
    """An invalid flag; the message is for the admin."""


_TRUTHS = {
    **dict.fromkeys(("true", "t", "1", "yes", "y", "on"), "true"),
    **dict.fromkeys(("false", "f", "0", "no", "n", "off"), "false"),
}
_LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARN", "error": "ERROR", "none": "CRITICAL"}
"""Tornado's ``--logging``, as a ``--log-level``."""


def normalised(
    arguments: Sequence[str],
    *,
    switches: AbstractSet[str],
    valued: AbstractSet[str],
    secrets: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Write each flag as ``--cull-every=60``, and of one that is given twice the last; what is no flag comes first.

    switches: flags that mean something without a value; valued: flags that take one; those that are both are true or
    false, in any word for it. secrets: by flag, what to use instead, because everybody can read a command line.
    Raise UsageError for a flag that does not exist, lacks its value, or would show a secret.
    """
    flags: dict[str, str] = {}
    others = []
    left = list(reversed(arguments))
    while left:
        argument = left.pop()
        if not _is_flag(argument):
            others.append(argument)
            continue
        name, value = _read(argument, left, switches=switches, known=switches | valued, secrets=secrets)
        if name == "logging" and value is not None:
            name, value = "log-level", _LEVELS.get(value.lower(), value)
        elif _trait(name) in switches & valued:
            value = _TRUTHS.get((value or "true").lower(), value)
        # One trait is one flag, also as --IdleCuller.timeout.
        flags.pop(_trait(name), None)
        flags[_trait(name)] = _dashed(name) + ("" if value is None else f"={value}")
    return others + list(flags.values())


def _read(
    argument: str,
    left: list[str],
    *,
    switches: AbstractSet[str],
    known: AbstractSet[str],
    secrets: Mapping[str, str],
) -> tuple[str, str | None]:
    """Return a flag's name and its value, which may be the next of the arguments ``left`` (the last in the list)."""
    flag, equals, value = argument.partition("=")
    dashes, name = _split(flag)
    if name in secrets:
        raise UsageError(
            f"--{name} is not a flag, because everybody can read a command line: {secrets[name]}"
        )
    if name not in known or len(dashes) > (1 if len(name) == 1 else 2):
        shown = flag if "://" in value else argument  # a URL may hold a secret
        raise UsageError(f"unknown flag {shown!r}{_suggestion(name, known | secrets.keys())}")
    if equals:
        return name, value
    following = left[-1] if left and not _is_flag(left[-1]) else None
    if name not in switches:
        if following is None:
            raise UsageError(f"--{name} needs a value")
        return name, left.pop()
    # After a switch, only a word for true or false is its value: another may say who is to be explained.
    return name, left.pop() if following is not None and following.lower() in _TRUTHS else None


def _trait(name: str) -> str:
    return name.rpartition(".")[2].replace("_", "-")


def _split(flag: str) -> tuple[str, str]:
    """Return a flag's dashes and its name, which is a trait's own in ``--Class.trait``."""
    name = flag.lstrip("-")
    return flag.removesuffix(name) if name else flag, name if "." in name else name.replace("_", "-")


def _is_flag(argument: str) -> bool:
    return argument.startswith("-") and argument != "-" and not argument.lstrip("-").isdecimal()


def _suggestion(name: str, known: AbstractSet[str]) -> str:
    similar = get_close_matches(name, known, n=1)
    return f"; did you mean {_dashed(similar[0])}?" if similar else "; --help lists all flags"


def _dashed(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name}"
