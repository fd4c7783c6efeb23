"""Each rule of the standard, once against and once within; tests/cluster/test_pod_security.py asks the API server."""

from copy import deepcopy

import pytest

from k8s_hub.manifests.restricted import contradictions, restricted
from tests.manifests.pod_security import AGAINST, WITHIN, Case, pod_with

FILLED = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "notebook",
            "image": "any",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}


@pytest.mark.parametrize("case", AGAINST, ids=str)
def test_what_the_standard_forbids_is_named_with_its_value(case: Case):
    assert [str(found) for found in contradictions(case.pod)] == list(case.contradictions)


@pytest.mark.parametrize("case", WITHIN, ids=str)
def test_what_the_standard_allows_is_no_contradiction(case: Case):
    assert contradictions(case.pod) == []


@pytest.mark.parametrize("case", [*AGAINST, *WITHIN], ids=str)
def test_filling_in_changes_nothing_that_the_pod_says_and_not_the_pod_itself(case: Case):
    before = deepcopy(case.pod)
    filled = restricted(case.pod)
    assert case.pod == before
    assert contradictions(filled) == contradictions(case.pod)
    assert includes(filled, case.pod)


def includes(filled, said):
    """Everything said is still said; lists of texts may have become longer."""
    match said:
        case dict():
            return all(said[key] is None or includes(filled[key], said[key]) for key in said)
        case [str(), *_]:
            return filled[: len(said)] == said
        case list():
            return len(filled) == len(said) and all(map(includes, filled, said))
        case _:
            return filled == said


def test_a_pod_that_says_nothing_gets_all_that_is_demanded():
    assert restricted(pod_with())["spec"] == FILLED


def test_filling_in_twice_is_filling_in_once():
    once = restricted(pod_with())
    assert restricted(once) == once


def test_init_containers_and_others_get_it_too():
    pod = pod_with(
        initContainers=[{"name": "prepare", "image": "any"}],
        containers=[{"name": "notebook", "image": "any"}, {"name": "proxy", "image": "any"}],
    )
    spec = restricted(pod)["spec"]
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"] == FILLED["containers"][0]["securityContext"]


def test_a_dropped_capability_stays_dropped():
    pod = pod_with(container={"capabilities": {"drop": ["NET_RAW"], "add": ["NET_BIND_SERVICE"]}})
    (container,) = restricted(pod)["spec"]["containers"]
    assert container["securityContext"]["capabilities"] == {
        "drop": ["NET_RAW", "ALL"],
        "add": ["NET_BIND_SERVICE"],
    }


def test_an_empty_value_is_filled_in_like_one_that_is_not_there():
    pod = pod_with(context={"runAsNonRoot": None}, container={"allowPrivilegeEscalation": None})
    assert restricted(pod)["spec"] == FILLED


def test_root_in_a_user_namespace_is_not_forbidden_to_be_root():
    filled = restricted(pod_with(hostUsers=False, container={"runAsUser": 0}))
    assert "runAsNonRoot" not in filled["spec"]["securityContext"]


def test_a_user_namespace_alone_is_no_wish_to_be_root():
    assert restricted(pod_with(hostUsers=False))["spec"]["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize(
    "spec",
    [
        {"securityContext": "restricted"},
        {"containers": ["notebook"]},
        {"containers": [{"name": "notebook", "securityContext": ["privileged"]}]},
        {"containers": [{"name": "notebook", "securityContext": {"capabilities": "none"}}]},
        {"containers": [{"name": "notebook", "ports": 8888, "livenessProbe": "often"}]},
        {"volumes": "home"},
    ],
)
def test_what_is_of_a_wrong_type_is_left_to_the_api_server(spec):
    pod = pod_with(**spec)
    assert contradictions(pod) == []
    assert includes(restricted(pod), pod)
