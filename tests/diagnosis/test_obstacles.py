"""What stands where a server is to be."""

from datetime import timedelta

import pytest

from k8s_hub.diagnosis import obstacles
from k8s_hub.diagnosis.diagnosis import Reason, Stage
from k8s_hub.diagnosis.obstacles import (
    foreign_object,
    leftover,
    new_namespace,
    previous_server,
    terminating_namespace,
)
from k8s_hub.objects.keys import Key
from tests.diagnosis.samples import STARTED, at, condition, pod


class TestForeign:
    @pytest.mark.parametrize(
        "metadata,owner",
        [
            ({"annotations": {"hub.jupyter.org/username": "bob"}}, 'user "bob"'),
            ({"labels": {"release": "other"}}, 'release "other"'),
            (
                {
                    "annotations": {"hub.jupyter.org/username": "jane"},
                    "labels": {"app.kubernetes.io/instance": "other", "release": "ignored"},
                },
                'user "jane" of release "other"',
            ),
            ({"ownerReferences": [{"kind": "ReplicaSet", "name": "web"}]}, 'ReplicaSet "web"'),
            ({}, "someone else"),
        ],
    )
    def test_pod_is_named_with_its_owner(self, metadata, owner):
        diagnosis = foreign_object(pod(metadata=metadata), "Pod")
        assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (
            Stage.REQUEST,
            Reason.FOREIGN_OBJECT,
            True,
        )
        assert diagnosis.sentence == (
            f'Your server could not start because {owner} already uses the name "jupyter-jane". '
            "Contact your administrator."
        )

    def test_anything_else_is_told_alike_and_its_kind_is_for_the_log(self):
        secret = {"metadata": {"name": "jupyter-jane", "annotations": {"hub.jupyter.org/username": "bob"}}}
        diagnosis = foreign_object(secret, "Secret")
        assert 'user "bob" already uses the name "jupyter-jane"' in diagnosis.sentence
        assert diagnosis.detail.startswith("secret jupyter-jane is not this server's")


def test_a_leftover_that_is_held_names_what_holds_it():
    held = {"metadata": {"name": "s", "namespace": "hub", "finalizers": ["example.org/balancer"]}}
    diagnosis = leftover(held, "Service")
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.OLD_SERVER, False)
    assert diagnosis.detail == "service hub/s is terminating; finalizers: example.org/balancer"


def test_a_namespace_that_is_being_deleted_is_waited_for_and_says_what_holds_it():
    words = "Some resources are remaining: pods. has 1 resource instances"
    namespace = {
        "metadata": {"name": "hub-jane", "deletionTimestamp": at(0)},
        "status": {"phase": "Terminating", "conditions": [{"message": words}, {"type": "x"}]},
    }
    diagnosis = terminating_namespace(namespace)
    assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (Stage.REQUEST, Reason.NAMESPACE, False)
    assert diagnosis.sentence == (
        'The place of your servers in the cluster (namespace "hub-jane") is being deleted. '
        "Your server then starts in a new one."
    )
    assert diagnosis.detail == f"namespace hub-jane is terminating: {words}"


def test_a_namespace_that_is_being_set_up_is_waited_for():
    diagnosis = new_namespace("hub-jane", 'serviceaccount "default" not found')
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.NAMESPACE, False)
    assert diagnosis.sentence == (
        'The cluster is setting up the place of your servers in the cluster (namespace "hub-jane").'
    )


class TestPreviousServer:
    """Its deletion was asked for at second 0, with a grace period of 30 seconds."""

    def told(self, second, **fields):
        metadata = {"deletionTimestamp": at(30), "deletionGracePeriodSeconds": 30} | fields.pop(
            "metadata", {}
        )
        return previous_server(pod(metadata=metadata, **fields), STARTED + timedelta(seconds=second))

    def test_is_waited_for(self):
        diagnosis = self.told(19)
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.OLD_SERVER, False)
        assert diagnosis.sentence == "Your previous server is still shutting down."

    def test_is_explained_after_20_seconds(self):
        assert "because it still has time to save its work." in self.told(20).sentence

    def test_that_nobody_confirmed_after_its_grace_period(self):
        assert "has not confirmed that it stopped" in self.told(31).sentence

    def test_held_by_a_finalizer_names_it(self):
        held = self.told(25, metadata={"finalizers": ["example.org/backup"]})
        assert "because a service of the cluster (example.org/backup) has not released it" in held.sentence

    @pytest.mark.parametrize(
        "status",
        [
            {"reason": "NodeLost"},
            {"conditions": [condition("DisruptionTarget", "True", reason="DeletionByTaintManager")]},
            {"conditions": [condition("Ready", "False"), condition("ContainersReady", "True")]},
        ],
        ids=["node-lost", "taint", "ready-by-the-node-controller"],
    )
    def test_on_a_lost_node_says_so(self, status):
        assert "its machine is not responding" in self.told(25, status=status).sentence

    @pytest.mark.parametrize(
        "conditions",
        [
            [condition("Ready", "False"), condition("ContainersReady", "False")],
            [condition("Ready", "True"), condition("ContainersReady", "True")],
            [
                condition("Ready", "False", reason="ReadinessGatesNotReady"),
                condition("ContainersReady", "True"),
            ],
        ],
        ids=["unready", "ready", "gate"],
    )
    def test_on_a_node_that_answers_does_not(self, conditions):
        assert "not responding" not in self.told(25, status={"conditions": conditions}).sentence

    def test_that_nobody_deleted_yet_is_not_explained(self):
        assert previous_server(pod(), STARTED).sentence == "Your previous server is still shutting down."


CLAIM = Key("jhub", "claim-ada")


@pytest.mark.parametrize(
    "diagnosis",
    [
        obstacles.in_exclusive_use("GPU", CLAIM),
        obstacles.volumes_on_different_nodes(("GPU", ""), ("one", "two")),
        obstacles.on_another_node("GPU", CLAIM, node="one", wanted="two"),
        obstacles.unfit_node("GPU", "0/2 nodes are available"),
    ],
)
def test_a_volume_that_is_not_to_be_had_ends_the_start_and_says_what_to_do(diagnosis):
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.VOLUME_IN_USE, True)
    assert 'our server "GPU"' in diagnosis.sentence
    assert diagnosis.sentence.endswith(" first.")
    assert diagnosis.detail


def test_a_server_that_is_placed_beside_another_is_no_trouble():
    diagnosis = obstacles.placed_on_same_node("", CLAIM, "one")
    assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (Stage.STORAGE, None, False)
    assert diagnosis.sentence.startswith("Your default server uses the same volume")
    assert "node one" in diagnosis.detail


def test_a_server_that_waits_for_the_machine_of_another_says_whose():
    diagnosis = obstacles.waits_for_other_server("GPU", CLAIM)
    assert diagnosis.sentence.startswith('Your server "GPU" uses the same volume and has no machine yet.')
    assert not diagnosis.fatal
