"""Label and field selectors, and their parsers.

Semantics and grammar: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from k8s_hub.objects.raw import Raw


class Operator(Enum):
    """The operator of a requirement."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    ABSENT = "!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One requirement of a label selector."""

    label: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels match. A missing label matches ``!=`` and ``notin``."""
        match self.operator:
            case Operator.IN:
                return self.label in labels and labels[self.label] in self.values
            case Operator.NOT_IN:
                return self.label not in labels or labels[self.label] not in self.values
            case Operator.EXISTS:
                return self.label in labels
            case Operator.ABSENT:
                return self.label not in labels


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelector:
    """Requirements that must all match. Without any, it selects everything."""

    requirements: tuple[Requirement, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)


class SelectorError(ValueError):
    """The text is not a selector, or names an unsupported field."""


_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)?"
_REQUIREMENT = re.compile(
    rf"""\s*(?:
        !\s*(?P<absent>{_NAME})
      | (?P<set_label>{_NAME})\s+(?P<set_operator>in|notin)\s*\((?P<values>[^()]*)\)
      | (?P<label>{_NAME})\s*(?P<operator>==?|!=)\s*(?P<value>{_VALUE})
      | (?P<exists>{_NAME})
    )\s*""",
    re.VERBOSE,
)


def parse_labels(text: str) -> LabelSelector:
    """Parse a label selector such as ``app=jupyterhub,tier notin (web,db),!old``."""
    if not text.strip():
        return LabelSelector(requirements=())
    return LabelSelector(requirements=tuple(_requirement(part, text) for part in _parts(text)))


def _parts(text: str) -> list[str]:
    """Split at commas outside parentheses."""
    return re.split(r",(?![^()]*\))", text)


def _requirement(part: str, text: str) -> Requirement:
    match = _REQUIREMENT.fullmatch(part)
    if match is None:
        raise SelectorError(f"{part.strip()!r} is not a label requirement (in the selector {text!r})")
    if match["absent"]:
        return Requirement(label=match["absent"], operator=Operator.ABSENT)
    if match["exists"]:
        return Requirement(label=match["exists"], operator=Operator.EXISTS)
    if match["set_operator"]:
        return Requirement(
            label=match["set_label"],
            operator=Operator(match["set_operator"]),
            values=frozenset(_value(value, text) for value in match["values"].split(",")),
        )
    operator = Operator.NOT_IN if match["operator"] == "!=" else Operator.IN
    return Requirement(label=match["label"], operator=operator, values=frozenset({match["value"]}))


def _value(value: str, text: str) -> str:
    if not re.fullmatch(_VALUE, value.strip()):
        raise SelectorError(f"{value.strip()!r} is not a label value (in the selector {text!r})")
    return value.strip()


_SELECTABLE_FIELDS = frozenset(
    {
        "metadata.name",
        "metadata.namespace",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
        "type",
        "reason",
        *(
            f"involvedObject.{field}"
            for field in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRequirement:
    """One requirement of a field selector. A missing field equals the empty string."""

    path: str
    value: str
    is_equal: bool

    def matches(self, obj: Raw) -> bool:
        """Return whether the object's field equals (or, for ``!=``, differs from) the value."""
        return (_field(obj, self.path) == self.value) is self.is_equal


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSelector:
    """Requirements that must all match. Without any, it selects everything."""

    requirements: tuple[FieldRequirement, ...]

    def matches(self, obj: Raw) -> bool:
        """Return whether the object is selected."""
        return all(requirement.matches(obj) for requirement in self.requirements)


_FIELD_REQUIREMENT = re.compile(
    r"\s*(?P<path>[A-Za-z.]+)\s*(?P<operator>==?|!=)(?P<value>(?:[^\\,=]|\\[\\,=])*)"
)


def parse_fields(text: str) -> FieldSelector:
    r"""Parse a field selector such as ``metadata.name=a,status.phase!=Failed``.

    Only the fields that pods and events can be selected by are known. In a value, ``\,``, ``\=`` and
    ``\\`` stand for the character itself.
    """
    if not text.strip():
        return FieldSelector(requirements=())
    parts = re.findall(r"(?:[^\\,]|\\.?)+", text)
    return FieldSelector(requirements=tuple(_field_requirement(part, text) for part in parts))


def _field_requirement(part: str, text: str) -> FieldRequirement:
    match = _FIELD_REQUIREMENT.fullmatch(part)
    if match is None:
        raise SelectorError(f"{part!r} is not a field requirement (in the selector {text!r})")
    if match["path"] not in _SELECTABLE_FIELDS:
        raise SelectorError(f"The field {match['path']!r} cannot be selected by (in the selector {text!r})")
    return FieldRequirement(
        path=match["path"],
        value=re.sub(r"\\(.)", r"\1", match["value"]),
        is_equal=match["operator"] != "!=",
    )


def _field(obj: Raw, path: str) -> str:
    found: Any = obj
    for step in path.split("."):
        found = (found or {}).get(step)
    return "" if found is None else str(found)
