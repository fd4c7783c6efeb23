"""Prepare the command line for traitlets: accept all spellings of idle-culler, and refuse unknown flags.

idle-culler 1.4 read its flags with tornado, version 2.0 with traitlets.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType

from k8s_hub.culler.core.mistakes import BadOption
from k8s_hub.text import nearest

_TRUTHS = {
    **dict.fromkeys(("true", "t", "1", "yes", "y", "on"), "true"),
    **dict.fromkeys(("false", "f", "0", "no", "n", "off"), "false"),
}
_LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARN", "error": "ERROR", "none": "CRITICAL"}
"""Values of tornado's ``--logging``, with their ``--log-level``."""


def normalised(
    arguments: Sequence[str],
    *,
    switches: AbstractSet[str],
    valued: AbstractSet[str],
    secrets: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[str], list[str]]:
    """Return the arguments for traitlets, and the mistakes.

    Each flag is written as ``--cull-every=60``, after the positional arguments; the last of repeated flags counts.

    switches: flags that need no value; valued: flags that take one; flags that are both are true or false, in any
    word for it. secrets: by flag, what to use instead, because everybody can read a command line.
    A mistake is a flag that does not exist, lacks its value, or would show a secret. It is left out.
    """
    flags: dict[str, str] = {}
    others: list[str] = []
    mistakes: list[str] = []
    left = list(reversed(arguments))
    while left:
        argument = left.pop()
        if not _is_flag(argument):
            others.append(argument)
            continue
        try:
            name, value = _read(argument, left, switches=switches, known=switches | valued, secrets=secrets)
        except BadOption as error:
            mistakes += error.sentences
            continue
        if name == "logging" and value is not None:
            name, value = "log-level", _LEVELS.get(value.lower(), value)
        elif _trait(name) in switches & valued:
            value = _TRUTHS.get((value or "true").lower(), value)
        # --timeout and --IdleCuller.timeout are the same flag.
        flags.pop(_trait(name), None)
        flags[_trait(name)] = _dashed(name) + ("" if value is None else f"={value}")
    return others + list(flags.values()), mistakes


def _read(
    argument: str,
    left: list[str],
    *,
    switches: AbstractSet[str],
    known: AbstractSet[str],
    secrets: Mapping[str, str],
) -> tuple[str, str | None]:
    """Return a flag's name and value. The value may be the next argument, which is the last in ``left``."""
    flag, equals, value = argument.partition("=")
    dashes, name = _split(flag)
    if name in secrets:
        raise BadOption(f"--{name} is not a flag, because everybody can read a command line: {secrets[name]}")
    if name not in known or len(dashes) > (1 if len(name) == 1 else 2):
        shown = flag if "://" in value else argument  # a URL may contain a secret
        raise BadOption(f"unknown flag {shown!r}{_suggestion(name, known | secrets.keys())}")
    if equals:
        return name, value
    following = left[-1] if left and not _is_flag(left[-1]) else None
    if name not in switches:
        if following is None:
            raise BadOption(f"--{name} needs a value")
        return name, left.pop()
    # Only a word for true or false is the value of a switch: `explain --debug ada` names a user.
    return name, left.pop() if following is not None and following.lower() in _TRUTHS else None


def _trait(name: str) -> str:
    return name.rpartition(".")[2].replace("_", "-")


def _split(flag: str) -> tuple[str, str]:
    """Return a flag's dashes and its name; ``--Class.trait`` keeps its underscores."""
    name = flag.lstrip("-")
    return flag.removesuffix(name) if name else flag, name if "." in name else name.replace("_", "-")


def _is_flag(argument: str) -> bool:
    return argument.startswith("-") and argument != "-" and not argument.lstrip("-").isdecimal()


def _suggestion(name: str, known: AbstractSet[str]) -> str:
    similar = nearest(name, known)
    return f"; did you mean {_dashed(similar)}?" if similar else "; --help lists all flags"


def _dashed(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name}"
