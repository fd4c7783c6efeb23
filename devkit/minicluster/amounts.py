"""Checks the requests and limits of a pod's containers, with the words of the real server."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_UP, Decimal
from typing import Any

from k8s_hub.objects.quantities import parse

Cause = tuple[str, str, str]
"""Field, reason and message, as of `statuses.invalid`."""

_MILLI = Decimal("0.001")
_DECIMAL = ("m", "", "k", "M", "G", "T", "P", "E")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def wrong_amounts(spec: Mapping[str, Any]) -> Iterator[Cause]:
    """Yield what is wrong with the requests of each container of a pod of the right shape."""
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            yield from _of_container(container.get("resources") or {}, f"spec.{field}[{index}].resources")


def _of_container(resources: Mapping[str, Any], path: str) -> Iterator[Cause]:
    limits = resources.get("limits") or {}
    for name, request in (resources.get("requests") or {}).items():
        limit = limits.get(name)
        if limit is None:
            if not _may_exceed_capacity(name):
                message = "Required value: Limit must be set for non overcommitable resources"
                yield f"{path}.limits", "FieldValueRequired", message
        elif rule := _broken_rule(name, _rounded(request), _rounded(limit)):
            message = f'Invalid value: "{canonical(request)}": {rule} {name} limit of {canonical(limit)}'
            yield f"{path}.requests", "FieldValueInvalid", message


def _broken_rule(name: str, request: Decimal, limit: Decimal) -> str:
    if _may_exceed_capacity(name):
        return "must be less than or equal to" if request > limit else ""
    return "must be equal to" if request != limit else ""


def _may_exceed_capacity(name: str) -> bool:
    """Return whether a limit may be above the request: not of devices and of huge pages."""
    is_native = "/" not in name or "kubernetes.io/" in name
    return is_native and not name.startswith("hugepages-")


def _rounded(quantity: str | float) -> Decimal:
    return parse(quantity).quantize(_MILLI, rounding=ROUND_UP)


def canonical(quantity: str | float) -> str:
    """Return a quantity as the server writes it: a whole number with the largest unit of the same kind."""
    value = _rounded(quantity)
    units: Sequence[str]
    if str(quantity).endswith("i") and value >= 1024 and value == value.to_integral_value():
        units, factor = _BINARY, 1024
    else:
        units, factor, value = _DECIMAL, 1000, value * 1000
    number, unit = int(value), 0
    while number and number % factor == 0 and unit < len(units) - 1:
        number, unit = number // factor, unit + 1
    return f"{number}{units[unit]}" if number else "0"
