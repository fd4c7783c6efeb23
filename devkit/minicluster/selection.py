"""The selection of a list or watch: namespace, labels, fields and query parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

from devkit.minicluster.selectors import FieldSelector, LabelSelector, parse_fields, parse_labels
from devkit.minicluster.statuses import bad_request
from k8s_hub.objects.keys import Key, labels_of
from k8s_hub.objects.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One namespace or all, labels and fields."""

    namespace: str | None
    labels: LabelSelector
    fields: FieldSelector

    @property
    def is_everything(self) -> bool:
        """True without selectors."""
        return not self.labels.requirements and not self.fields.requirements

    def has(self, key: Key, obj: Raw) -> bool:
        """Return whether the object is selected."""
        return (
            self.namespace in {None, key.namespace}
            and self.labels.matches(labels_of(obj))
            and self.fields.matches(obj)
        )


def parse_selection(namespace: str | None, query: Mapping[str, str]) -> Selection:
    """Parse the selectors; raise 400 with the parser's message."""
    try:
        return Selection(
            namespace=namespace,
            labels=parse_labels(query.get("labelSelector", "")),
            fields=parse_fields(query.get("fieldSelector", "")),
        )
    except ValueError as error:
        raise bad_request(str(error)) from error


def parse_flag(query: Mapping[str, str], name: str) -> bool:
    """Parse a boolean in Go's spelling."""
    text = query.get(name, "")
    if text in {"1", "t", "T", "true", "TRUE", "True"}:
        return True
    if text in {"", "0", "f", "F", "false", "FALSE", "False"}:
        return False
    raise bad_request(f"{name} is not a boolean: {text!r}")


def parse_number(query: Mapping[str, str], name: str) -> int | None:
    """Parse a non-negative integer; None if it is not given."""
    text = query.get(name, "")
    if not text:
        return None
    if not text.isdecimal():
        raise bad_request(f"{name} is not a whole number: {text!r}")
    return int(text)
