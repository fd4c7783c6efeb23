"""The only use of the client library's model classes, for hooks and subclasses that expect them.

All other code uses plain dicts, because the models take ten times as long.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Self

from kubernetes_asyncio.client import ApiClient, Configuration, models

from k8s_hub.manifests.casing import ManifestError
from k8s_hub.text import kind_of

_Depth = Mapping[str, Any]
_TERMS: _Depth = {
    "preferred_during_scheduling_ignored_during_execution": {},
    "required_during_scheduling_ignored_during_execution": {},
}
_NODE_TERMS: _Depth = {
    **_TERMS,
    "required_during_scheduling_ignored_during_execution": {"node_selector_terms": {}},
}
_NOTEBOOK: _Depth = {"ports": {}, "env": {}, "resources": {}, "volume_mounts": {}, "lifecycle": {}}
_OWNED: _Depth = {"owner_references": {}}
_DEPTHS: Mapping[str, _Depth] = {
    "V1Pod": {
        "metadata": _OWNED,
        "spec": {
            "containers": [_NOTEBOOK, {}],
            "init_containers": {},
            "volumes": {},
            "tolerations": {},
            "image_pull_secrets": {},
            "affinity": {"node_affinity": _NODE_TERMS, "pod_affinity": _TERMS, "pod_anti_affinity": _TERMS},
        },
    },
    "V1PersistentVolumeClaim": {"metadata": _OWNED, "spec": {"resources": {}}},
    "V1Service": {"metadata": _OWNED, "spec": {"ports": {}}},
    "V1Secret": {"metadata": _OWNED},
    "V1Namespace": {"metadata": {}},
    "V1OwnerReference": {},
}
"""The fields that are models, to the same depth as in KubeSpawner; everything else stays JSON as configured.

So hooks find the models they expect, and fields newer than the client library survive. A list of two depths is
for the first item and for the other items.
"""


class _Translator(ApiClient):
    """The client library's translation from models to JSON, without a network client."""

    def __init__(self) -> None:
        self.configuration = Configuration()
        self.client_side_validation = False


@cache
def _translator() -> _Translator:
    """Make it once: each `Configuration` sets levels of loggers, and so empties the cache of every logger."""
    translator = _Translator()
    translator.configuration.client_side_validation = False
    return translator


class _SharedConfiguration(Configuration):
    """The configuration of models which each spawner copies: it is its own copy, because nothing changes it."""

    def __deepcopy__(self, _memo: Any) -> Self:
        return self


_shared_configuration = cache(_SharedConfiguration)


def share_configuration(value: Any) -> None:
    """Have all models in a value of the hub's configuration share what the library configures.

    Each has a `Configuration` of its own, and each spawner copies its options: without this, every spawner would
    empty the cache of every logger.
    """
    if isinstance(value, dict):
        for item in value.values():
            share_configuration(item)
    elif isinstance(value, list):
        for item in value:
            share_configuration(item)
    elif type(getattr(value, "local_vars_configuration", None)) is Configuration:
        # An administrator's model may be one that is not validated.
        if value.local_vars_configuration.client_side_validation:
            value.local_vars_configuration = _shared_configuration()
        for name in value.attribute_map:
            share_configuration(getattr(value, name))


def to_json(value: Any) -> Any:
    """Return models, and models within lists and dicts, as the JSON that the API takes.

    Raises ManifestError for an object that is neither a model nor JSON.
    """
    try:
        return _translator().sanitize_for_serialization(value)
    except AttributeError:
        raise ManifestError("has a value that is neither JSON nor a model of kubernetes_asyncio") from None


def to_model(manifest: Mapping[str, Any], kind: str) -> Any:
    """Return a manifest as a model of its kind, e.g. "V1Pod".

    Raises ManifestError if the manifest does not fit the installed client library's classes.
    """
    return _model(manifest, kind, _DEPTHS[kind])


def _model(value: Any, kind: str, depth: Any) -> Any:
    if kind.startswith("list["):
        if not isinstance(value, list | tuple):
            raise ManifestError(f"must be a list, not {kind_of(value)}", kind)
        first, others = depth if isinstance(depth, list) else (depth, depth)
        of = kind.removeprefix("list[").removesuffix("]")
        return [_model(item, of, others if index else first) for index, item in enumerate(value)]
    model_class = getattr(models, kind)
    attributes = {field: name for name, field in model_class.attribute_map.items()}
    if not isinstance(value, Mapping):
        raise ManifestError(f"must be a dictionary, not {kind_of(value)}", kind)
    for field in value:
        if field not in attributes:
            raise ManifestError(f"{kind} of the installed kubernetes_asyncio has no field {field!r}")
    fields = {attributes[field]: item for field, item in value.items()}
    types = model_class.openapi_types
    return model_class(
        local_vars_configuration=_translator().configuration,
        **{
            name: _model(item, types[name], depth[name]) if name in depth and item is not None else item
            for name, item in fields.items()
        },
    )
