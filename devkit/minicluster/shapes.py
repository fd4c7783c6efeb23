"""Checks the types of the fields of a body that the cluster reads, and ignores all others.

The real server decodes into types, so it also refuses a string in place of a list.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, assert_never

from devkit.minicluster.resources import API_VERSION, CLAIMS, PODS, SECRETS, Kind
from devkit.minicluster.statuses import bad_request, invalid
from k8s_hub.objects.quantities import parse


class Leaf(StrEnum):
    """A value without parts."""

    TEXT = "string"
    NUMBER = "number"
    QUANTITY = "quantity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """An object with known fields; null is the same as absent."""

    needed: Mapping[str, "Shape"] = field(default_factory=dict)
    optional: Mapping[str, "Shape"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list."""

    of: "Shape"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """An object with arbitrary keys."""

    of: "Shape"


Shape: TypeAlias = Leaf | Fields | Items | Table

_TEXTS = Table(of=Leaf.TEXT)
_AMOUNTS = Fields(
    optional={"requests": Table(of=Leaf.QUANTITY), "limits": Table(of=Leaf.QUANTITY)},
)
_OWNER = Fields(needed={"kind": Leaf.TEXT, "name": Leaf.TEXT, "uid": Leaf.TEXT})
_METADATA = Fields(optional={"labels": _TEXTS, "annotations": _TEXTS, "ownerReferences": Items(of=_OWNER)})
_FIELD_REFERENCE = Fields(needed={"fieldPath": Leaf.TEXT})
_VARIABLE = Fields(
    needed={"name": Leaf.TEXT},
    optional={"value": Leaf.TEXT, "valueFrom": Fields(optional={"fieldRef": _FIELD_REFERENCE})},
)
_MOUNT = Fields(needed={"name": Leaf.TEXT, "mountPath": Leaf.TEXT}, optional={"subPath": Leaf.TEXT})
_CONTAINER = Fields(
    needed={"name": Leaf.TEXT, "image": Leaf.TEXT},
    optional={
        "command": Items(of=Leaf.TEXT),
        "args": Items(of=Leaf.TEXT),
        "env": Items(of=_VARIABLE),
        "ports": Items(of=Fields(needed={"containerPort": Leaf.NUMBER})),
        "resources": _AMOUNTS,
        "volumeMounts": Items(of=_MOUNT),
    },
)
_VOLUME = Fields(
    needed={"name": Leaf.TEXT},
    optional={"persistentVolumeClaim": Fields(needed={"claimName": Leaf.TEXT})},
)
_POD = Fields(
    needed={"containers": Items(of=_CONTAINER)},
    optional={
        "initContainers": Items(of=_CONTAINER),
        "nodeSelector": _TEXTS,
        "restartPolicy": Leaf.TEXT,
        "terminationGracePeriodSeconds": Leaf.NUMBER,
        "volumes": Items(of=_VOLUME),
    },
)
_CLAIM = Fields(
    needed={"accessModes": Items(of=Leaf.TEXT), "resources": _AMOUNTS},
    optional={"storageClassName": Leaf.TEXT},
)
_SHAPES = {
    PODS: Fields(needed={"spec": _POD}),
    CLAIMS: Fields(needed={"spec": _CLAIM}),
    SECRETS: Fields(optional={"stringData": _TEXTS, "data": _TEXTS}),
}


def check_shape(kind: Kind, body: Mapping[str, object]) -> None:
    """Raise 400 for a value of the wrong type, and 422 for a missing field, with the field's path."""
    try:
        _check(_METADATA, body.get("metadata") or {}, "metadata")
        _check(_SHAPES.get(kind, Fields()), body, "")
    except _MissingError as missing:
        name = str(_part(body.get("metadata"), "name") or "")
        raise invalid(kind.kind, name, [(str(missing), "FieldValueRequired", "Required value")]) from missing
    except _MisfitError as misfit:
        message = f'{kind.kind} in version "{API_VERSION}" cannot be handled as a {kind.kind}: {misfit}'
        raise bad_request(message) from misfit


class _MissingError(Exception):
    """A required field is missing. The message is its path."""


class _MisfitError(Exception):
    """A value has the wrong type. The message has its path."""


def _check(shape: Shape, value: object, path: str) -> None:
    match shape:
        case Leaf():
            _check_leaf(shape, value, path)
        case Fields():
            _check_fields(shape, value, path)
        case Items(of=inner):
            if not isinstance(value, list):
                raise _MisfitError(f"{path} is not a list: {value!r}")
            for index, item in enumerate(value):
                _check(inner, item, f"{path}[{index}]")
        case Table(of=inner):
            for name, item in _mapping(value, path).items():
                _check(inner, item, f"{path}[{name}]")
        case _:
            assert_never(shape)


def _check_fields(shape: Fields, value: object, path: str) -> None:
    present = {name: part for name, part in _mapping(value, path).items() if part is not None}
    prefix = f"{path}." if path else ""
    for name in shape.needed:
        if present.get(name) in (None, [], ""):
            raise _MissingError(f"{prefix}{name}")
    for name, inner in {**shape.needed, **shape.optional}.items():
        if name in present:
            _check(inner, present[name], f"{prefix}{name}")


def _check_leaf(leaf: Leaf, value: object, path: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match leaf:
        case Leaf.TEXT:
            fits = isinstance(value, str)
        case Leaf.NUMBER:
            fits = is_number
        case Leaf.QUANTITY:
            fits = is_number or _is_quantity(value)
        case _:
            assert_never(leaf)
    if not fits:
        raise _MisfitError(f"{path} is not a {leaf}: {value!r}")


def _is_quantity(value: object) -> bool:
    try:
        parse(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


def _mapping(value: object, path: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _MisfitError(f"{path} is not an object: {value!r}")
    return value


def _part(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else None
