"""Affinity: merges KubeSpawner's six lists of terms, and binds a pod to a node."""

from collections.abc import Mapping, Sequence
from typing import Any

from k8s_hub.manifests.casing import api_objects, without_nulls
from k8s_hub.objects.raw import Raw

Terms = Sequence[Raw] | Mapping[str, Raw]

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def build_affinity(
    *,
    node_affinity_preferred: Terms,
    node_affinity_required: Terms,
    pod_affinity_preferred: Terms,
    pod_affinity_required: Terms,
    pod_anti_affinity_preferred: Terms,
    pod_anti_affinity_required: Terms,
) -> dict[str, Any] | None:
    """Return the affinity; None without terms."""
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


def bound_to_node(affinity: Raw | None, node: str) -> dict[str, Any]:
    """Restrict an affinity to one node. The pod's own required terms must still match there.

    It uses the node's name, because the label ``kubernetes.io/hostname`` may differ and a hub may not read nodes.
    """
    rules = (affinity or {}).get("nodeAffinity") or {}
    required = rules.get(_REQUIRED) or {}
    # One term of several is enough, so each gets it. One without any condition fits no node, and so it stays.
    terms = [
        {**term, "matchFields": [*(term.get("matchFields") or ()), _is_node(node)]}
        if term.get("matchExpressions") or term.get("matchFields")
        else term
        for term in required.get("nodeSelectorTerms") or ()
    ]
    bound = {**required, "nodeSelectorTerms": terms or [{"matchFields": [_is_node(node)]}]}
    return {**(affinity or {}), "nodeAffinity": {**rules, _REQUIRED: bound}}


def _is_node(node: str) -> dict[str, Any]:
    return {"key": "metadata.name", "operator": "In", "values": [node]}


def _rules(*, preferred: list[dict[str, Any]], required: Any) -> dict[str, Any] | None:
    rules = {
        "preferredDuringSchedulingIgnoredDuringExecution": preferred or None,
        _REQUIRED: required or None,
    }
    return without_nulls(rules) or None
