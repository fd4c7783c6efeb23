"""What an override makes of a value: merged into it, and filled in with what a user typed."""

from collections.abc import Collection, Mapping
from typing import Any

from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.listing import copied


def merged(current: Raw, changes: Raw) -> dict[str, Any]:
    """Return the current dictionary with the changes: dictionaries are merged, None removes a key."""
    result = dict(current)
    for key, value in changes.items():
        if value == {} and key in result:
            continue
        if isinstance(value, dict):
            present = result.get(key)
            result[key] = merged(present if isinstance(present, dict) else {}, value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = copied(value)
    return result


def filled_in(override: Raw, value: str, *, templates: Collection[str] = ()) -> dict[str, Any]:
    """Return the override with ``{value}`` filled in, wherever it stands; other fields stay as they are.

    ``{{`` and ``}}`` become single braces. ``templates`` names the settings that are expanded once more later:
    braces that the user typed stay literal there.
    """
    literal = value.replace("{", "{{").replace("}", "}}")
    return {
        name: _filled(template, literal if name in templates else value, key=value)
        for name, template in override.items()
    }


def _filled(template: Any, value: str, *, key: str) -> Any:
    """Return the template with the value; with ``key`` in the keys of dictionaries, which are no templates later."""
    if isinstance(template, str):
        return template.format_map(_Fields(value=value))
    if isinstance(template, list):
        return [_filled(item, value, key=key) for item in template]
    if isinstance(template, set):
        return {_filled(item, value, key=key) for item in template}
    if isinstance(template, Mapping):
        return {_filled(name, key, key=key): _filled(item, value, key=key) for name, item in template.items()}
    return template


class _Fields(dict[str, str]):
    """Fields that are not known stand for themselves."""

    def __missing__(self, name: str) -> str:
        return "{" + name + "}"
