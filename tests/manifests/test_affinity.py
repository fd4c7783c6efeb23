from k8s_hub.manifests.affinity import build_affinity

NODES = [{"key": "purpose", "operator": "In", "values": ["user"]}]
SPREAD = {"topologyKey": "kubernetes.io/hostname"}


def affinity(**terms):
    none = {
        f"{kind}_{rule}": []
        for kind in ("node_affinity", "pod_affinity", "pod_anti_affinity")
        for rule in ("preferred", "required")
    }
    return build_affinity(**{**none, **terms})


def test_no_terms_are_no_affinity():
    assert affinity() is None
    assert affinity(pod_affinity_required={}) is None


def test_required_node_terms_are_wrapped_in_a_selector():
    assert affinity(node_affinity_required=[{"match_expressions": NODES}]) == {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": NODES}]
            }
        }
    }


def test_preferred_node_terms_are_a_list():
    terms = [{"weight": 100, "preference": {"matchExpressions": NODES}}]
    assert affinity(node_affinity_preferred=terms) == {
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}
    }


def test_pod_and_anti_pod_terms_are_lists_of_both_kinds():
    weighted = {"weight": 1, "podAffinityTerm": SPREAD}
    assert affinity(
        pod_affinity_preferred=[weighted],
        pod_affinity_required=[SPREAD],
        pod_anti_affinity_preferred={"b": {**weighted, "weight": 2}, "a": weighted},
        pod_anti_affinity_required=[SPREAD],
    ) == {
        "podAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [weighted],
            "requiredDuringSchedulingIgnoredDuringExecution": [SPREAD],
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [weighted, {**weighted, "weight": 2}],
            "requiredDuringSchedulingIgnoredDuringExecution": [SPREAD],
        },
    }
