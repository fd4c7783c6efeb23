"""Checks that a manifest is JSON, and that the parts which this package reads have the right types.

A manifest may come from an administrator's code. The API server checks everything else.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from k8s_hub.manifests.casing import ManifestError
from k8s_hub.text import kind_of

LONGEST_NUMBER = 2**63
"""Integers of the Kubernetes API have 64 bits."""

Check: TypeAlias = Callable[[Any], None]
"""Raises ManifestError if a JSON value, which is not null, has the wrong type."""


def checked(manifest: Any) -> dict[str, Any]:
    """Return a copy of the manifest; raise ManifestError with the place if it cannot be sent."""
    return _checked(manifest, _OBJECT)


def checked_pod(manifest: Any) -> dict[str, Any]:
    """Return a copy of a pod; also raise ManifestError if a part that this package reads has the wrong type."""
    return _checked(manifest, _POD)


def _checked(manifest: Any, check: Check) -> dict[str, Any]:
    try:
        result: dict[str, Any] = _json(manifest)
        check(result)
    except RecursionError:
        raise ManifestError("is nested too deeply, or contains itself", "a manifest") from None
    except ManifestError as error:
        raise ManifestError(error.fault, error.place.lstrip(".") or "a manifest") from None
    return result


def _json(value: Any) -> Any:
    """Return a copy of a JSON value; raise ManifestError for anything else."""
    match value:
        case str():
            _encodable(value)
        case None | bool():
            pass
        case dict():
            for key in value:
                _key(key)
            return dict(_copies(value.items(), ".{}"))
        case list() | tuple():
            return [copy for _, copy in _copies(enumerate(value), "[{}]")]
        case int():
            if abs(value) >= LONGEST_NUMBER:
                raise ManifestError("is a number with too many digits")
        case float():
            if not math.isfinite(value):
                raise ManifestError("is not a finite number")
        case _:
            raise ManifestError(f"cannot be {kind_of(value)}")
    return value


def _copies(items: Iterable[tuple[Any, Any]], place: str) -> Iterator[tuple[Any, Any]]:
    key: Any = None
    try:
        for key, item in items:
            yield key, _json(item)
    except ManifestError as error:
        raise error.within(place.format(key)) from None


def _each(check: Check, items: Iterable[tuple[Any, Any]], place: str) -> None:
    key: Any = None
    try:
        for key, item in items:  # noqa: B007 - the one at which it ended
            check(item)
    except ManifestError as error:
        raise error.within(place.format(key)) from None


def _key(key: Any) -> None:
    if not isinstance(key, str):
        raise ManifestError(f"has {kind_of(key)} as a key; keys must be strings")
    _encodable(key)


def _encodable(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ManifestError("has a lone surrogate, which UTF-8 cannot encode") from None


# --- The parts that this package reads ---


def _text(value: Any) -> None:
    if not isinstance(value, str):
        raise ManifestError(f"must be a string, not {kind_of(value)}")


def _texts(value: Any) -> None:
    """Check a dictionary of strings, such as labels. The API takes null for an empty string."""
    _dictionary(value)
    _each(_text, ((repr(key), each) for key, each in value.items() if each is not None), "[{}]")


def _dictionary(value: Any) -> None:
    if not isinstance(value, dict):
        raise ManifestError(f"must be a dictionary, not {kind_of(value)}")


def _list_of(item: Check) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, list | tuple):
            raise ManifestError(f"must be a list, not {kind_of(value)}")
        _each(item, enumerate(value), "[{}]")

    return check


def _not_empty(items: Check) -> Check:
    def check(value: Any) -> None:
        items(value)
        if not value:
            raise ManifestError("is empty")

    return check


def _object(*required: str, **fields: Check) -> Check:
    """Return a check of an object with these fields. Fields that are not required may be null."""

    def check(value: Any) -> None:
        _dictionary(value)
        for name in required:
            if value.get(name) is None:
                raise ManifestError("is missing", f".{name}")
        for name, field in fields.items():
            if value.get(name) is not None:
                _each(field, [(name, value[name])], ".{}")

    return check


_METADATA = _object("name", name=_text, labels=_texts, annotations=_texts)
_OBJECT = _object("metadata", metadata=_METADATA)
_CONTAINER = _object(env=_list_of(_object("name", name=_text)), ports=_list_of(_dictionary))
_VOLUME = _object(persistentVolumeClaim=_object("claimName", claimName=_text))
_NODE_TERMS = _object(
    nodeSelectorTerms=_list_of(
        _object(matchFields=_list_of(_dictionary), matchExpressions=_list_of(_dictionary))
    )
)
_POD = _object(
    "metadata",
    "spec",
    metadata=_METADATA,
    spec=_object(
        "containers",
        containers=_not_empty(_list_of(_CONTAINER)),
        initContainers=_list_of(_CONTAINER),
        volumes=_list_of(_VOLUME),
        nodeName=_text,
        nodeSelector=_texts,
        affinity=_object(nodeAffinity=_object(requiredDuringSchedulingIgnoredDuringExecution=_NODE_TERMS)),
    ),
)
