"""``make reference``: the pages of options, the spawner's from KubeSpawner 7.1.0 and this version side by side."""

import inspect
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import traitlets
from jupyterhub.spawner import Spawner

from devkit.differential import peers
from k8s_hub.culler.options import GROUPS, SECRETS, WITHOUT_FLAG, option_names
from k8s_hub.spawner.deprecated import REFLECTORS, RENAMED

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
PAGE = FOLDER / "traits.md"
CULLER_PAGE = FOLDER / "culler-options.md"
COMMAND = "make reference"

DIFFERENT = {
    "delete_pvc": "files are never removed with a user or a server unless it is asked for; then only a claim that "
    "is surely this server's and no other's",
    "slow_spawn_message": "words of its own; it also takes `{message}`, what the start waits for",
}
"""Why the default or the values differ."""

MORE = {
    "after_pod_created_hook": "pod is what the API server answered, complete",
    "delete_stopped_pods": "the pod goes in the background, `poll` does not wait for it",
    "get_pod_url": "what is no URL fails the start with its name",
    "handle_legacy_names": "names of all versions since 0.8 are found, whatever the saved state says",
    "hub_connect_ip": "deprecated there too",
    "hub_connect_port": "deprecated there too",
    "k8s_api_request_retry_timeout": "a start goes on until its own deadline",
    "k8s_api_request_timeout": "a create whose reply came too late is recognised and kept",
    "k8s_api_threadpool_workers": "without effect there too",
    "modify_pod_hook": "dicts and models may be mixed; without a pod returned the start fails with the hook's name",
    "pod_connect_ip": "may be an IPv6 address",
    "port": "0 is 8888 whenever it is set",
    "profile_list": "with `access`; functions in overrides may be async; what could never work is left out",
    "slow_spawn_message_threshold": "counted from the begin of the start, not from when the page was opened",
    "storage_capacity": "what is no quantity is refused",
    "storage_pvc_ensure": "an earlier claim of this server is found by its owner",
}
"""What is the same, and more than there."""

DROPPED: dict[str, str] = {}
"""Why there is no such option."""

SPECIAL_DEFAULTS = {
    "namespace": "the hub's own",
    "options_form": "made of `profile_list`",
    "options_from_form": "for the form of `profile_list`",
    "ssl_alt_names": "the names of the pod's Service",
}

_KINDS = {
    traitlets.Bool: "bool",
    traitlets.Callable: "function",
    traitlets.Dict: "dict",
    traitlets.Enum: "",
    traitlets.Float: "number",
    traitlets.Integer: "int",
    traitlets.List: "list",
    traitlets.Type: "class",
    traitlets.Unicode: "str",
    traitlets.Any: "any",
}


SHOWN = 40
"""Characters of a default that are worth showing where it differs."""


class UnexplainedError(Exception):
    """An option differs, and nobody has written why."""


@dataclass(frozen=True)
class Row:
    """One option of KubeSpawner and its state here."""

    name: str
    values: str
    default: str
    state: str
    effect: str


def rows(names: Iterable[str]) -> list[Row]:
    """Compare these options; raises `UnexplainedError`."""
    theirs, ours = (peers.made(side, {"username": "ada"}) for side in (peers.Theirs, peers.Ours))
    return [_row(name, theirs, ours) for name in names]


def _row(name: str, theirs: Any, ours: Any) -> Row:
    original, here = theirs.traits()[name], ours.traits().get(name)
    if here is None:
        if name not in DROPPED:
            raise UnexplainedError(
                f"{name} of KubeSpawner does not exist here; add it, or say why not in DROPPED"
            )
        return Row(name, kinds(original), "", f"**dropped**: {DROPPED[name]}", "")
    default, original_default = (_default(name, side) for side in (ours, theirs))
    is_same = (kinds(original), original_default) == (kinds(here), default)
    if is_same == (name in DIFFERENT):
        raise UnexplainedError(
            f"{name} is {kinds(original)} with default {original_default} in KubeSpawner, {kinds(here)} with "
            f"{default} here; DIFFERENT must say why it differs, and only then"
        )
    there = original_default if len(original_default) < SHOWN else "another"
    state = "same" if is_same else f"**different** ({there} there): {DIFFERENT[name]}"
    more = f"; {MORE[name]}" if name in MORE else ""
    effect = "" if here.this_class is Spawner else first_paragraph(here)
    return Row(name, kinds(here), default, state + more, effect)


def kinds(trait: Any) -> str:
    """Return what values an option takes."""
    found = sorted(set(_kinds(trait)))
    return " or ".join([*found, "None"] if trait.allow_none else found)


def _kinds(trait: Any) -> list[str]:
    if isinstance(trait, traitlets.Union):
        return [kind for each in trait.trait_types for kind in _kinds(each)]
    if isinstance(trait, traitlets.Enum):
        return [f'"{value}"' for value in trait.values]
    if type(trait).__name__ == "ByteSpecification":
        return ["int or str with K, M, G or T"]
    if type(trait).__name__ == "Command":
        return ["list or str"]
    if type(trait).__name__ == "Callable":
        return ["function"]
    return [next(kind for base, kind in _KINDS.items() if isinstance(trait, base))]


def _default(name: str, spawner: Any) -> str:
    if name in SPECIAL_DEFAULTS:
        return SPECIAL_DEFAULTS[name]
    value = getattr(spawner, name)
    return f"`{value!r}`" if not isinstance(value, str) else f"`{value!r}`".replace("'", '"')


def first_paragraph(trait: Any) -> str:
    """Return the effect, with which the help of each option begins."""
    return " ".join(inspect.cleandoc(trait.help).split("\n\n")[0].split())


def help_text(trait: Any) -> str:
    """Return the help as Markdown."""
    return re.sub(r"::$", ":", inspect.cleandoc(trait.help), flags=re.MULTILINE)


def _table(compared: list[Row], *, with_effect: bool) -> str:
    effect = ["effect"] if with_effect else []
    head = ["option", *effect, "values", "default", "compared with KubeSpawner"]
    cells = [
        [f"`{row.name}`", *([row.effect] if with_effect else []), row.values, row.default, row.state]
        for row in compared
    ]
    return "\n".join(map(_line, [head, ["---"] * len(head), *cells]))


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def options_of_kubespawner() -> tuple[list[str], list[str]]:
    """Return the names that KubeSpawner defines, and those that it has from JupyterHub."""
    traits = peers.Theirs.class_traits(config=True)
    own = sorted(name for name, trait in traits.items() if trait.this_class is peers.Theirs)
    return own, sorted(traits.keys() - own)


def page() -> str:
    """Return the whole page."""
    own, inherited = options_of_kubespawner()
    overridden = [name for name in own if name in Spawner.class_traits(config=True)]
    additional = {
        name: trait
        for name, trait in sorted(peers.Ours.class_traits(config=True).items())
        if name not in peers.Theirs.class_traits(config=True)
    }
    compared, compared_inherited = rows(own), rows(inherited)
    same = sum(row.state.startswith("same") for row in [*compared, *compared_inherited])
    additional_help = "\n\n".join(
        f"### `{name}`\n\nValues: {kinds(trait)}. Default: {_default(name, peers.made(peers.Ours, {'username': 'ada'}))}."
        f"\n\n{help_text(trait)}"
        for name, trait in additional.items()
    )
    renamed = "\n".join(f"| `{old}` | `{new}` |" for old, new in RENAMED.items())
    return f"""\
# Options of the spawner

This page is written by `{COMMAND}` from KubeSpawner 7.1.0 and this version, with JupyterHub 6.1.

All of them are set as `c.KubeSpawner.<option>`, or under the name of a subclass; `jupyterhub --help-all` has the
full help. Of KubeSpawner's {len(compared) + len(compared_inherited)} options {same} are the same here: name, kinds of
values, None and default. Where pods, claims and names differ is in [differences.md](differences.md).

## The {len(compared)} options of KubeSpawner

{_table(compared, with_effect=True)}

{", ".join(f"`{name}`" for name in overridden)}: JupyterHub's, in a form for pods.

## The {len(compared_inherited)} options that JupyterHub gives every spawner

Their effects are in JupyterHub's documentation. Compared is the default that a server really has.

{_table(compared_inherited, with_effect=False)}

## Options that KubeSpawner does not have

{additional_help}

## Deprecated names

They work in the configuration, in profiles, and on spawners in hooks and subclasses; the log names the new one
once. Where both names are set, the new one wins.

| old name | name |
|---|---|
{renamed}

The sections {", ".join(f"`{section}`" for section in REFLECTORS)} are accepted and have no effect: watches go on
after every failure by themselves, and there is nothing to tune.
"""


def culler_page() -> str:
    """Return the whole page of the culler's options."""
    groups = "\n\n".join(
        f"## {heading}\n\n"
        + "\n".join(map(_line, [["option", "default", "effect"], ["---"] * 3, *_options_of(group)]))
        for heading, group in GROUPS.items()
    )
    without = ", ".join(f"`{name}`" for name in sorted(WITHOUT_FLAG))
    variables = ", ".join(f"`{name}` (`{variable}`)" for name, variable in SECRETS.items())
    return f"""\
# Options of the culler

This page is written by `{COMMAND}`. `python3 -m k8s_hub.culler --help` says the same.

Each is a flag, such as `--cull-every=600`, and a setting of the config file, such as `c.IdleCuller.cull_every = 600`;
{without} are settings only. Also from the environment: {variables}.
Times are in seconds where nothing else is said. [How culling decides](../howto/culling.md) shows them at work.

{groups}
"""


def _options_of(group: type[traitlets.HasTraits]) -> Iterable[list[str]]:
    for name in option_names(group):
        trait = group.class_traits(config=True)[name]
        shown = name if name in WITHOUT_FLAG else "--" + name.replace("_", "-")
        yield [f"`{shown}`", f"`{trait.default_value_repr()}`", first_paragraph(trait)]


def main() -> int:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
    CULLER_PAGE.write_text(culler_page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
