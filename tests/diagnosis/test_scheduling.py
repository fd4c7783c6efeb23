"""Rules about finding a machine."""

from decimal import Decimal

import pytest

from k8s_hub.diagnosis.diagnosis import Reason, Stage
from k8s_hub.diagnosis.rules import diagnose
from k8s_hub.diagnosis.scheduling import requested
from k8s_hub.naming.ownership import BESIDE_ANNOTATION
from tests.diagnosis.samples import claim, condition, event, placed, pod, seen, unscheduled

WAITING = "Your server is waiting for"
GPUS = {
    "containers": [
        {
            "name": "notebook",
            "resources": {
                "requests": {"memory": "4Gi", "cpu": "500m"},
                "limits": {"nvidia.com/gpu": "2", "memory": "8Gi"},
            },
        }
    ]
}


@pytest.mark.parametrize(
    "words,sentence",
    [
        ("3 Insufficient nvidia.com/gpu", f"{WAITING} a machine with 2 GPUs."),
        ("3 Insufficient memory", f"{WAITING} a machine with 4 GiB of memory."),
        ("3 Insufficient cpu", f"{WAITING} a machine with 0.5 CPUs."),
        (
            "1 Insufficient memory, 2 Insufficient nvidia.com/gpu, 3 Insufficient memory",
            f"{WAITING} a machine with 2 GPUs and 4 GiB of memory.",
        ),
        ("3 Insufficient example.org/fpga", f"{WAITING} a machine with more example.org/fpga."),
        (
            "1 Insufficient memory, 2 node(s) had volume node affinity conflict",
            f"{WAITING} a machine with 4 GiB of memory in the zone of its home volume.",
        ),
        (
            "1 node(s) had untolerated taint {key: value}, 2 Insufficient cpu",
            f"{WAITING} a machine with 0.5 CPUs.",
        ),
        ("3 Too many pods", f"{WAITING} a free place, because all machines are full."),
        ("3 node(s) exceed max volume count", f"{WAITING} a machine that can take one more volume."),
        (
            "3 node(s) had volume node affinity conflict",
            (
                f"{WAITING} a machine in the zone of its home volume, "
                "because a volume cannot move to another zone."
            ),
        ),
        (
            "3 node(s) didn't match PersistentVolume's node affinity",
            (
                f"{WAITING} a machine in the zone of its home volume, "
                "because a volume cannot move to another zone."
            ),
        ),
        (
            "3 node(s) didn't match pod anti-affinity rules",
            f"{WAITING} a machine that it may share with the servers there.",
        ),
        (
            "1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }",
            f"{WAITING} a machine, because those there are not ready or are taken out of use.",
        ),
        (
            "1 node(s) were unschedulable",
            f"{WAITING} a machine, because those there are not ready or are taken out of use.",
        ),
        (
            "3 node(s) didn't match Pod's node affinity/selector",
            f"{WAITING} a machine of the kind it asks for.",
        ),
        (
            "3 node(s) had untolerated taint(s)",
            f"{WAITING} a machine that accepts it, because those there are reserved or not ready.",
        ),
        ("something new", f"{WAITING} a machine."),
    ],
)
def test_the_schedulers_words_become_plain_ones(words, sentence):
    message = f"0/3 nodes are available: {words}. preemption: 0/3 nodes are available: 3 Insufficient memory."
    diagnosis = diagnose(seen(unscheduled(message, **GPUS)))
    assert (diagnosis.stage, diagnosis.reason) == (Stage.SCHEDULING, Reason.UNSCHEDULABLE)
    assert (diagnosis.sentence, diagnosis.fatal) == (sentence, False)
    assert words in diagnosis.detail


@pytest.mark.parametrize(
    "words,reason",
    [
        ("3 node(s) didn't find available persistent volumes to bind", Reason.CLAIM_PENDING),
        ('persistentvolumeclaim "claim-jane" is being deleted', Reason.CLAIM_TERMINATING),
        (
            (
                "1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use "
                "by another pod"
            ),
            Reason.MOUNT,
        ),
        (
            "1 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
            Reason.CLAIM_LOST,
        ),
    ],
)
def test_what_the_scheduler_says_of_volumes_is_a_matter_of_storage(words, reason):
    diagnosis = diagnose(seen(unscheduled(f"0/3 nodes are available: {words}.")))
    assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (Stage.STORAGE, reason, False)


def test_a_cluster_without_machines_is_told():
    diagnosis = diagnose(seen(unscheduled("no nodes available to schedule pods")))
    assert diagnosis.sentence == "Your server is waiting for a machine, because the cluster has none yet."


def test_the_schedulers_condition_is_found_among_others():
    full = unscheduled("0/1 nodes are available: 1 Too many pods.")
    full["status"]["conditions"].insert(0, condition("PodReadyToStartContainers", "True"))
    assert diagnose(seen(full)).reason is Reason.UNSCHEDULABLE


def test_unschedulable_alone_never_ends_a_start():
    assert not diagnose(seen(unscheduled("0/1 nodes are available: 1 Too many pods."), second=3600)).fatal


def test_the_node_selector_is_in_the_detail_only():
    picky = unscheduled(
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
        nodeSelector={"gpu": "a100"},
    )
    diagnosis = diagnose(seen(picky))
    assert "a100" not in diagnosis.message
    assert diagnosis.detail.endswith("(node selector: gpu=a100)")


def test_without_a_node_selector_the_detail_is_the_schedulers_words():
    message = "0/1 nodes are available: 1 Too many pods."
    assert diagnose(seen(unscheduled(message))).detail == message


def test_a_new_machine_is_a_stage_of_its_own():
    full = unscheduled("0/1 nodes are available: 1 Insufficient cpu.")
    coming = event("TriggeredScaleUp", "pod triggered scale-up: [{pool-1 1->2 (max: 5)}]", second=3)
    diagnosis = diagnose(seen(full, None, coming, second=50))
    assert (diagnosis.stage, diagnosis.fatal) == (Stage.MACHINE, False)
    assert diagnosis.message.endswith("usually takes some minutes (40 seconds so far).")


def test_karpenters_nomination_is_a_new_machine_too():
    full = unscheduled("0/1 nodes are available: 1 Insufficient cpu.")
    nominated = event("Nominated", "Pod should schedule on: nodeclaim/default-x2x9f")
    assert diagnose(seen(full, None, nominated)).stage is Stage.MACHINE


def test_once_the_pod_has_a_machine_the_autoscaler_is_history():
    coming = event("TriggeredScaleUp", "pod triggered scale-up")
    placed = pod(phase="Pending", spec={"nodeName": "node-1"})
    assert diagnose(seen(placed, None, coming)).stage is Stage.STARTING


class TestTheAutoscalerSaysNo:
    FULL = unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", **GPUS)
    NO = event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached", second=10)

    @pytest.mark.parametrize("reason", ["NotTriggerScaleUp", "FailedScaleUp"])
    def test_then_the_start_ends_after_120_seconds(self, reason):
        no = self.NO | {"reason": reason}
        assert not diagnose(seen(self.FULL, None, no, second=129.9)).fatal
        diagnosis = diagnose(seen(self.FULL, None, no, second=130))
        assert (diagnosis.fatal, diagnosis.reason) == (True, Reason.UNSCHEDULABLE)
        assert diagnosis.message == (
            "Your server is waiting for a machine with 2 GPUs. The cluster cannot add one. "
            "Please try again later, or choose another kind of server."
        )
        assert "max node group size reached" in diagnosis.detail

    def test_unless_it_has_said_yes_since(self):
        yes = event("TriggeredScaleUp", "pod triggered scale-up", second=20)
        assert diagnose(seen(self.FULL, None, self.NO, yes, second=500)).stage is Stage.MACHINE

    def test_and_what_it_said_before_a_failed_try_does_not_count(self):
        yes = event("TriggeredScaleUp", "pod triggered scale-up", second=1)
        assert diagnose(seen(self.FULL, None, yes, self.NO, second=20)).stage is Stage.SCHEDULING
        assert diagnose(seen(self.FULL, None, yes, self.NO, second=130)).fatal

    def test_it_has_no_say_about_volumes(self):
        conflict = unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
        assert not diagnose(seen(conflict, claim("Bound"), self.NO, second=500)).fatal

    def test_it_said_so_of_another_pod(self):
        other = self.NO | {"involvedObject": {"uid": "another"}}
        assert not diagnose(seen(self.FULL, None, other, second=500)).fatal


def test_a_pod_that_the_scheduler_has_not_seen_is_looked_after():
    diagnosis = diagnose(seen(pod(phase="Pending"), second=3))
    assert (diagnosis.stage, diagnosis.message) == (
        Stage.SCHEDULING,
        "Looking for a machine for your server.",
    )


class TestRequested:
    def test_the_containers_add_up(self):
        spec = {"containers": [{"resources": {"requests": {"memory": "1Gi"}}}] * 2 + [{}]}
        assert requested(spec, "memory") == Decimal(2 * 2**30)

    def test_a_larger_step_before_them_decides(self):
        spec = {
            "initContainers": [{"resources": {"requests": {"cpu": "2"}}}],
            "containers": [{"resources": {"requests": {"cpu": "500m"}}}],
        }
        assert requested(spec, "cpu") == Decimal(2)

    def test_a_side_container_among_the_steps_counts_with_the_containers(self):
        spec = {
            "initContainers": [{"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}],
            "containers": [{"resources": {"requests": {"cpu": "500m"}}}],
        }
        assert requested(spec, "cpu") == Decimal("1.5")

    def test_a_limit_without_request_is_the_request(self):
        assert requested({"containers": [{"resources": {"limits": {"cpu": "3"}}}]}, "cpu") == Decimal(3)


# Beside another server of the user


def beside(message, server="gpu"):
    return unscheduled(message) | {
        "metadata": unscheduled(message)["metadata"] | {"annotations": {BESIDE_ANNOTATION: server}}
    }


OTHERS = "2 node(s) didn't satisfy plugin(s) [NodeAffinity]. preemption: 0/3 nodes are available: 3 Preemption is not"
OLD_OTHERS = (
    "2 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 3 Preemption"
)


@pytest.mark.parametrize("others", [OTHERS, OLD_OTHERS], ids=["now", "schedulers before"])
@pytest.mark.parametrize(
    "words",
    [
        "1 Insufficient cpu",
        "1 Too many pods",
        "1 node(s) were unschedulable",
        "1 node(s) had untolerated taint {a: b}",
    ],
)
def test_a_place_beside_another_server_is_waited_for_and_that_server_named(words, others):
    diagnosis = diagnose(seen(beside(f"0/3 nodes are available: {words}, {others}"), second=30))
    assert diagnosis.sentence == (
        'Your server is waiting for a place on the machine of your server "gpu", because both use the same volume.'
    )
    assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (
        Stage.SCHEDULING,
        Reason.VOLUME_IN_USE,
        False,
    )
    assert words in diagnosis.detail


@pytest.mark.parametrize("others", [OTHERS, OLD_OTHERS], ids=["now", "schedulers before"])
def test_a_server_that_may_never_go_there_fails_at_once(others):
    words = f"0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, {others}"
    diagnosis = diagnose(seen(beside(words, "")))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.VOLUME_IN_USE, True)
    assert diagnosis.sentence.startswith(
        "Your default server uses a volume of this one on a machine that is not"
    )


def test_a_server_beside_another_that_has_its_machine_is_told_as_any_other():
    there = placed()
    there["metadata"]["annotations"] = {BESIDE_ANNOTATION: "gpu"}
    assert diagnose(seen(there)).reason is None
