"""The Service: a name in the cluster's DNS that leads to one server's pod."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_PORT_NAME = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceInputs:
    """The resolved values of one Service."""

    name: str
    port: int
    """Of the Service and of the pod alike."""
    selector: Mapping[str, str]
    """The labels of the one pod it leads to."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def build_service(inputs: ServiceInputs) -> dict[str, Any]:
    """Return the Service's manifest, without an owner."""
    return {
        "kind": "Service",
        "metadata": {
            "name": inputs.name,
            "labels": dict(inputs.labels),
            "annotations": dict(inputs.annotations),
        },
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": _PORT_NAME, "port": inputs.port, "targetPort": inputs.port}],
            "selector": dict(inputs.selector),
        },
    }
