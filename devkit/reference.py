"""``make reference``: writes the option pages. The spawner's compares KubeSpawner 7.1.0 with this version."""

import inspect
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import traitlets
from jupyterhub.spawner import Spawner
from jupyterhub.traitlets import ByteSpecification

from devkit.differential import peers
from k8s_hub.culler.options import GROUPS, SECRETS, WITHOUT_FLAG, option_names
from k8s_hub.spawner.compat.renamed_traits import REFLECTORS, RENAMED

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
PAGE = FOLDER / "traits.md"
CULLER_PAGE = FOLDER / "culler-options.md"
COMMAND = "make reference"

DIFFERENT = {
    "delete_pvc": "deleting a user or a server deletes no files unless you set it, and then only a claim that is "
    "surely this server's",
    "poll_interval": "the watch of pods tells the hub of an end at once; a value that you set counts",
    "slow_spawn_message": "words of its own; it also takes `{message}`, what the start waits for, and `{waited}`",
    "slow_spawn_message_frequency": "unset: a message about a slow start every 5 seconds hides other messages",
}
"""Options with another default or other values, and why."""

MORE = {
    "after_pod_created_hook": "pod is the API server's complete answer",
    "delete_stopped_pods": "the pod is deleted in the background, `poll` does not wait for it",
    "get_pod_url": "a result that is no URL fails the start, and the log names the hook",
    "handle_legacy_names": "finds names of all versions since 0.8, whatever the saved state has",
    "hub_connect_ip": "deprecated there too",
    "hub_connect_port": "deprecated there too",
    "k8s_api_request_retry_timeout": "a start retries until its own deadline",
    "k8s_api_request_timeout": "recognises and keeps the object of a create whose reply came too late",
    "k8s_api_threadpool_workers": "without effect there too",
    "modify_pod_hook": "takes dicts and models mixed; if it returns no pod, the start fails and the log names the hook",
    "pod_connect_ip": "may be an IPv6 address",
    "port": "0 always means 8888",
    "profile_list": "also takes `access`; functions in overrides may be async; profiles that cannot work are left out",
    "slow_spawn_message_threshold": "counted from the begin of the start, not from when the page was opened",
    "storage_capacity": "refuses a value that is no quantity",
    "storage_pvc_ensure": "finds an earlier claim of this server by its owner",
}
"""Options that do more than KubeSpawner's."""

DROPPED: dict[str, str] = {}
"""Options that do not exist here, and why."""

SPECIAL_DEFAULTS = {
    "namespace": "the hub's own",
    "options_form": "made of `profile_list`",
    "options_from_form": "for the form of `profile_list`",
    "ssl_alt_names": "the names of the pod's Service",
}

OWN_DEFAULTS = {"poll_interval": "`300`; `30` for a server that no watch shows"}
"""Defaults here that depend on the run of a server."""

COUNTED = {"Hook", "Profile", "Resource"}
"""Topics with a plural heading."""

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
"""Characters of a different default to show."""


class UnexplainedError(Exception):
    """An option differs without an explanation."""


@dataclass(frozen=True)
class Row:
    """One option of KubeSpawner, compared with this version."""

    name: str
    values: str
    default: str
    state: str


def rows(names: Iterable[str]) -> list[Row]:
    """Compare the options; raise `UnexplainedError`."""
    theirs, ours = (peers.made(side, {"username": "ada"}) for side in (peers.Theirs, peers.Ours))
    return [_row(name, theirs, ours) for name in names]


def _row(name: str, theirs: Any, ours: Any) -> Row:
    original, here = theirs.traits()[name], ours.traits().get(name)
    if here is None:
        if name not in DROPPED:
            raise UnexplainedError(
                f"{name} of KubeSpawner does not exist here; add it, or say why not in DROPPED"
            )
        return Row(name, kinds(original), "", f"**dropped**: {DROPPED[name]}")
    default = OWN_DEFAULTS.get(name) or _default(name, ours)
    original_default = _default(name, theirs)
    is_same = (kinds(original), original_default) == (kinds(here), default)
    if is_same == (name in DIFFERENT):
        raise UnexplainedError(
            f"{name} is {kinds(original)} with default {original_default} in KubeSpawner, {kinds(here)} with "
            f"{default} here; DIFFERENT must say why it differs, and only then"
        )
    there = original_default if len(original_default) < SHOWN else "another"
    state = "same" if is_same else f"**different** ({there} there): {DIFFERENT[name]}"
    more = f"; {MORE[name]}" if name in MORE else ""
    return Row(name, kinds(here), default, state + more)


def kinds(trait: Any) -> str:
    """Return the values that an option accepts."""
    found = sorted(set(_kinds(trait)))
    return " or ".join([*found, "None"] if trait.allow_none else found)


def _kinds(trait: Any) -> list[str]:
    if isinstance(trait, traitlets.Union):
        return [kind for each in trait.trait_types for kind in _kinds(each)]
    if isinstance(trait, traitlets.Enum):
        return [f'"{value}"' for value in trait.values]
    if isinstance(trait, ByteSpecification):
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


def help_text(trait: Any) -> str:
    """Return the help as Markdown: examples become code blocks, page names become links."""
    lines = re.sub(r"::$", ":", inspect.cleandoc(trait.help), flags=re.MULTILINE).splitlines()
    text = "\n".join(line if line.startswith("    ") else _without_html(line) for line in lines)
    return re.sub(r"docs/([\w/-]+\.md)", r"[\g<0>](../\1)", text)


def _without_html(line: str) -> str:
    pieces = line.split("`")
    return "`".join(
        [piece if number % 2 else piece.replace("<", "&lt;") for number, piece in enumerate(pieces)]
    )


def options_of_kubespawner() -> tuple[list[str], list[str]]:
    """Return the options that KubeSpawner defines, and those that it inherits from JupyterHub."""
    traits = peers.Theirs.class_traits(config=True)
    own = sorted(name for name, trait in traits.items() if trait.this_class is peers.Theirs)
    return own, sorted(traits.keys() - own)


def page() -> str:
    """Return the whole page."""
    own, inherited = options_of_kubespawner()
    compared = {row.name: row for row in rows([*own, *inherited])}
    same = sum(row.state.startswith("same") for row in compared.values())
    dropped = [f"- `{row.name}`: {DROPPED[row.name]}" for row in compared.values() if row.name in DROPPED]
    topics = _topics()
    groups = "\n\n".join(
        _topic(group, traits, compared) for group, traits in topics.items() if group is not Spawner
    )
    from_jupyterhub = "\n\n".join(_spawner_option(name, None, compared) for name in topics[Spawner])
    renamed = "\n".join(f"| `{old}` | `{new}` |" for old, new in RENAMED.items())
    return f"""\
# Options of the spawner

`{COMMAND}` writes this page from KubeSpawner 7.1.0 and this version, with JupyterHub 6.1.

Set each option as `c.KubeSpawner.<option>`, or under the name of a subclass. `jupyterhub --help-all` prints the same
help. {same} of KubeSpawner's {len(compared)} options are the same here: name, kinds of values, None and default.
[Differences from KubeSpawner](differences.md) lists where pods, claims and names differ.

{groups}

## Options from JupyterHub

JupyterHub gives these options to every spawner, and
[its documentation](https://jupyterhub.readthedocs.io/en/stable/reference/api/spawner.html) describes their effects.
The default is the one that a server really has.

{from_jupyterhub}

## Deprecated names

Deprecated names work in the configuration, in profiles, and on spawners in hooks and subclasses. The log names the
new name once. If both names are set, the new name wins.

| old name | name |
|---|---|
{renamed}

The sections {", ".join(f"`{section}`" for section in REFLECTORS)} are accepted and have no effect. A watch that
fails resumes by itself, so there is nothing to tune.
""" + ("\n## Options that do not exist here\n\n" + "\n".join(dropped) + "\n" if dropped else "")


def _topics() -> dict[type, dict[str, Any]]:
    """Return the spawner's options by defining class, JupyterHub's last."""
    found: dict[type, dict[str, Any]] = {}
    for name, trait in sorted(peers.Ours.class_traits(config=True).items()):
        found.setdefault(trait.this_class, {})[name] = trait
    return dict(sorted(found.items(), key=lambda item: (item[0] is Spawner, item[0].__name__)))


def _topic(group: type, traits: dict[str, Any], compared: dict[str, Row]) -> str:
    title = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", group.__name__.removesuffix("Traits")).capitalize()
    title += "s" * (title in COUNTED)
    options = [_spawner_option(name, trait, compared) for name, trait in traits.items()]
    return "\n\n".join([f"## {title}", inspect.getdoc(group) or "", *options])


def _spawner_option(name: str, trait: Any | None, compared: dict[str, Row]) -> str:
    """Return the section of one option; ``trait`` is None if JupyterHub has the help."""
    if name in compared:
        row = compared[name]
        facts = f"{row.values}. Default: {row.default}. KubeSpawner: {row.state}."
    else:
        own = peers.made(peers.Ours, {"username": "ada"})
        facts = f"{kinds(own.traits()[name])}. Default: {_default(name, own)}. KubeSpawner: no such option."
    return "\n\n".join([f"### `{name}`", f"Values: {facts}", *([help_text(trait)] if trait else [])])


def culler_page() -> str:
    """Return the whole page of the culler's options."""
    groups = "\n\n".join(
        "\n\n".join([f"## {heading}", *(_culler_option(group, name) for name in option_names(group))])
        for heading, group in GROUPS.items()
    )
    variables = ", ".join(f"`{variable}` (`{name}`)" for name, variable in SECRETS.items())
    return f"""\
# Options of the culler

`{COMMAND}` writes this page. `python3 -m k8s_hub.culler --help` prints the same help, and the flags that are not options:
`--config` (`idle_culler_config.py` by default), `--generate-config`, `--log-level` (also `--logging`) and `--debug`.
`k8s-hub cull explain` also has `--json`.

Set an option as a flag, such as `--cull-every=600`, or in the config file, such as `c.IdleCuller.cull_every = 600`.
Environment variables that the culler reads: {variables}, `JUPYTERHUB_API_URL` (`url`), `JUPYTERHUB_API_TOKEN`, and
`JUPYTERHUB_REQUEST_TIMEOUT` for each request to the hub (60). Times are in seconds.
[How culling decides](../howto/culling.md) shows the options at work.

{groups}
"""


def _culler_option(group: type[traitlets.HasTraits], name: str) -> str:
    trait = group.class_traits(config=True)[name]
    flag = "" if name in WITHOUT_FLAG else f"`--{name.replace('_', '-')}`, "
    default = f"Default: `{trait.default_value_repr()}`."
    return "\n\n".join([f"### `{name}`", f"{flag}`c.IdleCuller.{name}`. {default}", help_text(trait)])


def main() -> int:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
    CULLER_PAGE.write_text(culler_page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
