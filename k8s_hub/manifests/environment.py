"""The environment of the notebook container, in an order in which ``$(NAME)`` references resolve.

Kubernetes fills in a reference only if the variable it names stands earlier in the list.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from k8s_hub.manifests.casing import ManifestError, api_object, kind_of

_REFERENCE = re.compile(r"\$\(([^)]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variable:
    name: str
    sort_key: str
    entry: dict[str, Any]
    references: frozenset[str]


def build_environment(env: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the container's ``env`` list.

    A value is a string, None, a number, a boolean, or a dict such as ``{"valueFrom": {"secretKeyRef": ...}}``,
    which may carry another name than its key. Numbers and booleans become text as JSON and YAML write them:
    ``4``, ``0.5``, ``true``. The order depends on names and references alone: by key, but after what is
    referred to.
    """
    variables = {variable.name: variable for key in env for variable in (_variable(key, env[key]),)}
    waiting = sorted(variables.values(), key=lambda variable: variable.sort_key)
    placed: list[_Variable] = []
    # A reference to a variable that is not in the list (the cluster sets some itself) puts its owner after
    # all others, but must not keep those who refer to the owner from standing behind it.
    elsewhere = frozenset().union(*(variable.references for variable in waiting)) - variables.keys()
    for settled in (frozenset[str](), elsewhere):
        while ready := [v for v in waiting if v.references <= settled | {p.name for p in placed}]:
            placed += ready
            waiting = [variable for variable in waiting if variable not in ready]
    # What is left refers to itself in a circle.
    return [variable.entry for variable in (*placed, *waiting)]


def _variable(key: Any, value: Any) -> _Variable:
    if not isinstance(key, str):
        raise ManifestError(f"has {kind_of(key)} as the name of a variable, which is a text", "environment")
    field = f"environment[{key!r}]"
    entry = api_object(
        {"name": key, **value} if isinstance(value, Mapping) else {"name": key, "value": value}, field
    )
    if not isinstance(entry.get("name"), str):
        raise ManifestError(f"must have a text as its name, not {kind_of(entry.get('name'))}", field)
    if "value" in entry:
        entry["value"] = _text(entry["value"], field)
    return _Variable(
        name=entry["name"],
        sort_key=key,
        entry=entry,
        references=frozenset(_REFERENCE.findall(entry.get("value", ""))) - {entry["name"]},
    )


def _text(value: Any, field: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, bool | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise ManifestError(f"must be a text, a number, true or false, not {kind_of(value)}", field)
    try:
        return json.dumps(value)
    except ValueError:
        raise ManifestError("is a number with too many digits", field) from None
