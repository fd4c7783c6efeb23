"""What ``--help`` says: each option once, under the heading of its group."""

import textwrap
from collections.abc import Iterator
from typing import Any

from traitlets import Bool, Integer, TraitType

from k8s_hub.culler.options import GROUPS, WITHOUT_FLAG, names_of

WIDTH = 100
INDENT = " " * 4

PROGRAM = """\
The program
-----------
--config=<path>  (default 'idle_culler_config.py')
    Python or JSON file to load, if it exists.
--generate-config
    Print a config file with every setting, and end.
--log-level=<level>, --debug
    DEBUG, INFO (default), WARN, ERROR or CRITICAL; --debug logs every decision.
--help, --help-all, --version, --show-config
"""


def lines() -> Iterator[str]:
    """Return the help of all options."""
    yield "Each option is a flag, and a setting of the config file, such as c.IdleCuller.timeout = 600."
    for heading, group in GROUPS.items():
        yield from ("", heading, "-" * len(heading))
        options = group.class_traits(config=True)
        for name in names_of(group):
            yield from _option(name, options[name])
    yield ""
    yield from PROGRAM.splitlines()
    yield ""


def _option(name: str, option: TraitType[Any, Any]) -> Iterator[str]:
    yield f"{_usage(name, option)}  {_default(option)}".rstrip()
    for paragraph in textwrap.dedent(option.help).strip().split("\n\n"):
        words = " ".join(paragraph.split())
        yield from textwrap.wrap(words, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)


def _usage(name: str, option: TraitType[Any, Any]) -> str:
    if name in WITHOUT_FLAG:
        return f"c.IdleCuller.{name} = ..."
    flag = "--" + name.replace("_", "-")
    if isinstance(option, Bool):
        return f"{flag}[=true|false]"
    return f"{flag}=<{'number' if isinstance(option, Integer) else 'text'}>"


def _default(option: TraitType[Any, Any]) -> str:
    value = option.default_value_repr()
    return (
        ""
        if value in {"''", "None", "[]", "False"}
        else f"(default {value.lower() if value == 'True' else value})"
    )
