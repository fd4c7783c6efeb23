"""Converts snake_case keys of configured objects to the API's camelCase, at one level like KubeSpawner.

That level has the keys of a container, a volume or a toleration. Deeper keys must be in camelCase already, and some of them
are data, such as labels.
"""

from collections.abc import Mapping
from typing import Any

from k8s_hub.naming.templates import SettingError
from k8s_hub.text import in_key_order, kind_of

_EXCEPTIONS = {
    "downward_api": "downwardAPI",
    "host_ipc": "hostIPC",
    "host_pid": "hostPID",
    "scale_io": "scaleIO",
    "set_hostname_as_fqdn": "setHostnameAsFQDN",
}


class ManifestError(SettingError):
    """A configured value is invalid in a manifest."""


def camel_case(key: Any) -> Any:
    """Return the key in camelCase; a key without underscore stays as it is."""
    if not isinstance(key, str) or "_" not in key:
        return key
    first, *others = key.split("_")
    return _EXCEPTIONS.get(key) or first + "".join(other.capitalize() for other in others)


def api_fields(value: Any, field: str) -> dict[str, Any]:
    """Return a configured dict with camelCase keys. ``field`` is the option's name, for the error."""
    if not isinstance(value, (dict, Mapping)):  # dict first: that check is ten times as fast
        raise ManifestError(f"must be a dictionary, not {kind_of(value)}", field)
    return {camel_case(key): item for key, item in value.items()}


def api_object(value: Any, field: str) -> dict[str, Any]:
    """Return a configured object with camelCase keys, without keys whose value is None."""
    return without_nulls(api_fields(value, field))


def api_objects(values: Any, field: str) -> list[dict[str, Any]]:
    """Return a configured list of objects; for a dict, its values in the order of the keys."""
    if isinstance(values, Mapping):
        return [api_object(values[key], f"{field}[{key!r}]") for key in in_key_order(values)]
    if not isinstance(values, list | tuple | None):
        raise ManifestError(
            f"must be a list of dictionaries, or a dictionary of them, not {kind_of(values)}", field
        )
    return [api_object(value, f"{field}[{index}]") for index, value in enumerate(values or ())]


def without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields whose value is not None."""
    return {key: value for key, value in fields.items() if value is not None}
