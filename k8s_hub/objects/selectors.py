"""Label selectors: what they demand of an object's labels.

Semantics: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Operator(Enum):
    """What a requirement demands of one label."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    ABSENT = "!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One comma-separated part of a label selector."""

    label: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether the labels fulfil it. ``!=`` and ``notin`` are fulfilled by a missing label."""
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
    """All of its requirements; none at all selects everything."""

    requirements: tuple[Requirement, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)
