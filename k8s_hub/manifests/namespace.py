"""The namespace: where the servers of one user live, if each user has their own."""

from collections.abc import Mapping
from typing import Any

from k8s_hub.manifests.checks import checked


def build_namespace(name: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, Any]:
    """Return the namespace's manifest."""
    return checked({"metadata": {"name": name, "labels": dict(labels), "annotations": dict(annotations)}})
