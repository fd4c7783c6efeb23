from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.manifests.pod import PodInputs, bound_to_node, build_affinity

NODES = [{"key": "purpose", "operator": "In", "values": ["user"]}]
SPREAD = {"topologyKey": "kubernetes.io/hostname"}


def affinity(**terms):
    return build_affinity(PodInputs(pod_name="jupyter-ada", image="lab:1", **terms))


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


# Bound to one node


def admits(affinity, node):
    """Would the scheduler take the node, as far as required node affinity goes?"""
    required = ((affinity or {}).get("nodeAffinity") or {}).get(REQUIRED)
    if required is None:
        return True
    return any(
        (term.get("matchExpressions") or term.get("matchFields"))
        and all(
            node["labels"].get(rule["key"]) in rule["values"] for rule in term.get("matchExpressions") or ()
        )
        and all(node["name"] in rule["values"] for rule in term.get("matchFields") or ())
        for term in required["nodeSelectorTerms"]
    )


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
WORDS = st.sampled_from(["a", "b", "c"])
VALUES = st.lists(WORDS, min_size=1, max_size=2)
EXPRESSIONS = st.lists(
    st.builds(lambda key, values: {"key": key, "operator": "In", "values": values}, WORDS, VALUES), max_size=2
)
FIELDS = st.lists(
    st.builds(lambda name: {"key": "metadata.name", "operator": "In", "values": [name]}, WORDS), max_size=1
)
TERMS = st.fixed_dictionaries({}, optional={"matchExpressions": EXPRESSIONS, "matchFields": FIELDS})
AFFINITIES = st.one_of(
    st.none(),
    st.just({}),
    st.just({"nodeAffinity": None, "podAffinity": {REQUIRED: [SPREAD]}}),
    st.builds(
        lambda terms: {
            "podAffinity": {REQUIRED: [SPREAD]},
            "nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}},
        },
        st.lists(TERMS, min_size=1, max_size=3),
    ),
)
MACHINES = st.fixed_dictionaries({"name": WORDS, "labels": st.dictionaries(WORDS, WORDS)})


@given(AFFINITIES, WORDS, MACHINES)
def test_what_is_bound_to_a_node_runs_there_or_nowhere_and_only_by_its_own_terms(affinity, node, machine):
    before = deepcopy(affinity)
    bound = bound_to_node(affinity, node)
    assert admits(bound, machine) == (machine["name"] == node and admits(affinity, machine))
    assert affinity == before


@given(AFFINITIES, WORDS)
def test_binding_to_a_node_loses_no_term_and_no_other_rule(configured, node):
    bound = bound_to_node(configured, node)

    def terms_of(affinity):
        return (((affinity or {}).get("nodeAffinity") or {}).get(REQUIRED) or {}).get("nodeSelectorTerms", [])

    def without_node_rules(affinity):
        return {key: value for key, value in (affinity or {}).items() if key != "nodeAffinity"}

    assert without_node_rules(bound) == without_node_rules(configured)
    assert len(terms_of(bound)) == max(len(terms_of(configured)), 1)
    for old, new in zip(terms_of(configured), terms_of(bound), strict=False):
        assert new.get("matchExpressions") == old.get("matchExpressions")
        assert all(rule in new.get("matchFields", []) for rule in old.get("matchFields") or ())


def test_preferences_stay():
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]}
    bound = bound_to_node({"nodeAffinity": preferred}, "one")
    fields = [{"key": "metadata.name", "operator": "In", "values": ["one"]}]
    assert bound == {
        "nodeAffinity": {**preferred, REQUIRED: {"nodeSelectorTerms": [{"matchFields": fields}]}}
    }
