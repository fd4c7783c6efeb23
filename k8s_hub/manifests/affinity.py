"""Where a pod wants to run: six lists of terms become one affinity."""

from collections.abc import Mapping, Sequence
from typing import Any

from k8s_hub.manifests.casing import api_objects, without_nulls
from k8s_hub.objects.raw import Raw

Terms = Sequence[Raw] | Mapping[str, Raw]


def build_affinity(
    *,
    node_affinity_preferred: Terms,
    node_affinity_required: Terms,
    pod_affinity_preferred: Terms,
    pod_affinity_required: Terms,
    pod_anti_affinity_preferred: Terms,
    pod_anti_affinity_required: Terms,
) -> dict[str, Any] | None:
    """Return the affinity; None if there is no term at all."""
    node_terms = api_objects(node_affinity_required, "node_affinity_required")
    affinity = {
        "nodeAffinity": _rules(
            preferred=api_objects(node_affinity_preferred, "node_affinity_preferred"),
            required={"nodeSelectorTerms": node_terms} if node_terms else None,
        ),
        "podAffinity": _rules(
            preferred=api_objects(pod_affinity_preferred, "pod_affinity_preferred"),
            required=api_objects(pod_affinity_required, "pod_affinity_required"),
        ),
        "podAntiAffinity": _rules(
            preferred=api_objects(pod_anti_affinity_preferred, "pod_anti_affinity_preferred"),
            required=api_objects(pod_anti_affinity_required, "pod_anti_affinity_required"),
        ),
    }
    return without_nulls(affinity) or None


def _rules(*, preferred: list[dict[str, Any]], required: Any) -> dict[str, Any] | None:
    rules = {
        "preferredDuringSchedulingIgnoredDuringExecution": preferred or None,
        "requiredDuringSchedulingIgnoredDuringExecution": required or None,
    }
    return without_nulls(rules) or None
