"""Label selectors.

Semantics: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


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
