"""Where a pod may run that shares a claim with another server of its user."""

import pytest

from k8s_hub.claims.placement import (
    Anywhere,
    DifferentNodes,
    Exclusive,
    NotKnownYet,
    SameNode,
    mounted_claims,
    plan_placement,
)
from k8s_hub.objects.keys import Key, key_of
from tests.claims.objects import NAMESPACE, claim, identity

HOME = Key(NAMESPACE, "claim-ada")


def home(*modes, had=(), name="claim-ada"):
    found = claim(name, "ada")
    return {
        **found,
        "spec": {"accessModes": list(modes)},
        "status": {"phase": "Bound", "accessModes": list(had)},
    }


def pod(server="gpu", node="one", *, user="ada", phase="Running", **more):
    """A pod is annotated and labelled as a claim is."""
    made = claim(f"jupyter-{user}--{server}", user, server, phase=phase, **more)
    return {**made, "kind": "Pod", "spec": {} if node is None else {"nodeName": node}}


def planned(*mounted):
    pods = {key_of(each): pods for each, pods in mounted}
    return plan_placement(identity(), [each for each, _pods in mounted], pods.__getitem__)


def test_a_claim_that_nobody_mounts_binds_nobody():
    assert planned((home("ReadWriteOnce"), [])) == Anywhere()
    assert planned() == Anywhere()


def test_the_node_of_the_other_server_is_this_ones():
    assert planned((home("ReadWriteOnce"), [pod()])) == SameNode(node="one", claim=HOME, servername="gpu")


@pytest.mark.parametrize(
    "other",
    [
        pod(""),
        pod(user="bob"),
        pod(phase="Succeeded"),
        pod(phase="Failed"),
        pod(deletionTimestamp="2026-07-01T12:00:00Z"),
        pod(namespace="other"),
        pod(release="other"),
    ],
    ids=[
        "this server's earlier pod",
        "another user's",
        "ended",
        "failed",
        "shutting down",
        "elsewhere",
        "another hub's",
    ],
)
@pytest.mark.parametrize("mode", ["ReadWriteOnce", "ReadWriteOncePod"])
def test_a_pod_that_is_no_living_server_of_this_user_binds_nobody(other, mode):
    assert planned((home(mode), [other])) == Anywhere()


@pytest.mark.parametrize(
    "modes, had",
    [
        (["ReadWriteMany"], []),
        (["ReadOnlyMany"], []),
        (["ReadWriteOnce", "ReadWriteMany"], []),
        (["ReadWriteOnce"], ["ReadWriteOnce", "ReadWriteMany"]),
        ([], []),
    ],
)
def test_a_volume_for_many_machines_binds_nobody(modes, had):
    assert planned((home(*modes, had=had), [pod()])) == Anywhere()


def test_nobody_is_asked_who_mounts_a_volume_for_many_machines():
    asked = []

    def mounting(claim):
        asked.append(claim.name)
        return [pod()]

    claims = [home(mode, name=mode.lower()) for mode in ("ReadWriteMany", "ReadOnlyMany", "ReadWriteOnce")]

    assert isinstance(plan_placement(identity(), claims, mounting), SameNode)
    assert asked == ["readwriteonce"]


def test_a_pod_without_a_node_is_to_be_waited_for():
    waiting = NotKnownYet(pod=Key(NAMESPACE, "jupyter-ada--gpu"), claim=HOME, servername="gpu")
    assert planned((home("ReadWriteOnce"), [pod(node=None, phase="Pending")])) == waiting


@pytest.mark.parametrize("node", ["one", None])
def test_a_claim_for_one_pod_is_not_to_be_had(node):
    assert planned((home("ReadWriteOncePod"), [pod(node=node)])) == Exclusive(claim=HOME, servername="gpu")


def test_several_holders_on_one_node_are_as_one():
    mounted = [(home("ReadWriteOnce"), [pod("a"), pod("b")]), (home("ReadWriteOnce", name="x"), [pod("c")])]
    assert planned(*mounted) == SameNode(node="one", claim=HOME, servername="a")


def test_holders_on_two_nodes_tear_the_server_apart():
    mounted = [(home("ReadWriteOnce"), [pod("a")]), (home("ReadWriteOnce", name="x"), [pod("b", "two")])]
    assert planned(*mounted) == DifferentNodes(servernames=("a", "b"), nodes=("one", "two"))


def test_the_claims_of_a_pod_are_those_of_its_volumes():
    volumes = [
        {"name": "home", "persistentVolumeClaim": {"claimName": "claim-ada"}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "null", "persistentVolumeClaim": None, "emptyDir": {}},
    ]
    assert mounted_claims({"spec": {"volumes": volumes}}) == ("claim-ada",)
    assert mounted_claims({"spec": {}}) == ()
