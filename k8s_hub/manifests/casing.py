"""snake_case keys of configured objects become the API's camelCase, as far down as KubeSpawner does it.

That is one level: the keys of a container, a volume, a toleration. Below, keys are the API's already, and
some of them (a label, a node's name) are not ours to rename.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from k8s_hub.naming.templates import SettingError
from k8s_hub.text import kind_of

_EXCEPTIONS = {
    "downward_api": "downwardAPI",
    "host_ipc": "hostIPC",
    "host_pid": "hostPID",
    "scale_io": "scaleIO",
    "set_hostname_as_fqdn": "setHostnameAsFQDN",
}


class ManifestError(SettingError):
    """A configured value does not fit into a manifest."""


def camel_case(key: Any) -> Any:
    """Return the API's spelling of a key; a key without underscore is spelled so already."""
    if not isinstance(key, str) or "_" not in key:
        return key
    first, *others = key.split("_")
    return _EXCEPTIONS.get(key) or first + "".join(other.capitalize() for other in others)


def api_fields(value: Any, field: str) -> dict[str, Any]:
    """Return a configured dict with the API's keys. ``field`` is what the admin called it, for the error."""
    if not isinstance(value, Mapping):
        raise ManifestError(f"must be a dictionary, not {kind_of(value)}", field)
    return {camel_case(key): item for key, item in value.items()}


def api_object(value: Any, field: str) -> dict[str, Any]:
    """Return one configured object with the API's keys; keys with the value None are left out."""
    return without_nulls(api_fields(value, field))


def api_objects(values: Any, field: str) -> list[dict[str, Any]]:
    """Return a configured list of objects; a dict of objects counts as its values in the order of its keys."""
    if isinstance(values, Mapping):
        return [api_object(values[key], f"{field}[{key!r}]") for key in _in_order(values)]
    if not isinstance(values, list | tuple | None):
        raise ManifestError(
            f"must be a list of dictionaries, or a dictionary of them, not {kind_of(values)}", field
        )
    return [api_object(value, f"{field}[{index}]") for index, value in enumerate(values or ())]


def _in_order(keys: Iterable[Any]) -> list[Any]:
    try:
        return sorted(keys)
    except TypeError:  # texts and numbers
        return sorted(keys, key=str)


def without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value: None stands for "not there", as in the API."""
    return {key: value for key, value in fields.items() if value is not None}
