"""Rules about finding a machine."""

from datetime import timedelta
from decimal import Decimal

import pytest

from k8s_hub.diagnosis.diagnosis import Reason, Stage, at_deadline
from k8s_hub.diagnosis.rules import diagnose
from k8s_hub.diagnosis.scheduling import total_request
from k8s_hub.naming.ownership import SAME_NODE_ANNOTATION
from tests.diagnosis.samples import CLAIM_UID, at, claim, condition, event, placed, pod, seen, unscheduled

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
            f"{WAITING} a machine with 4 GiB of memory in the zone of your home volume.",
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
                f"{WAITING} a machine in the zone of your home volume, "
                "because a volume cannot move to another zone."
            ),
        ),
        (
            "3 node(s) didn't match PersistentVolume's node affinity",
            (
                f"{WAITING} a machine in the zone of your home volume, "
                "because a volume cannot move to another zone."
            ),
        ),
        (
            "3 node(s) didn't match pod anti-affinity rules",
            f"{WAITING} a machine that the placement rules allow.",
        ),
        (
            "1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }",
            f"{WAITING} a machine, because the existing ones are not ready or out of use.",
        ),
        (
            "1 node(s) were unschedulable",
            f"{WAITING} a machine, because the existing ones are not ready or out of use.",
        ),
        (
            "3 node(s) didn't match Pod's node affinity/selector",
            f"{WAITING} a machine of the kind it asks for.",
        ),
        (
            "3 node(s) had untolerated taint(s)",
            f"{WAITING} a machine that accepts it, because the existing ones are reserved or not ready.",
        ),
        (
            "1 cannot allocate all claims, 1 node(s) didn't match Pod's node affinity/selector",
            f"{WAITING} a machine with a free device of the kind it asks for.",
        ),
        (
            "2 resourceclaim not available on the node, 1 node(s) had untolerated taint(s)",
            f"{WAITING} a machine with a free device of the kind it asks for.",
        ),
        (
            'waiting for dynamic resource controller to create the resourceclaim "pod0-gpu"',
            "The cluster is preparing a device for your server.",
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
        ("1 node(s) did not have enough free storage", Reason.CLAIM_PENDING),
        ("2 node(s) did not have enough free storage, 1 node(s) were unschedulable", Reason.CLAIM_PENDING),
        ('running PreBind plugin "VolumeBinding": binding volumes: timed out waiting', Reason.CLAIM_PENDING),
        (
            'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded',
            Reason.CLAIM_PENDING,
        ),
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
    assert "a100" not in diagnosis.sentence
    assert diagnosis.detail.endswith("(node selector: gpu=a100)")


def test_without_a_node_selector_the_detail_is_the_schedulers_words():
    message = "0/1 nodes are available: 1 Too many pods."
    assert diagnose(seen(unscheduled(message))).detail == message


def test_a_new_machine_is_a_stage_of_its_own():
    full = unscheduled("0/1 nodes are available: 1 Insufficient cpu.")
    coming = event("TriggeredScaleUp", "pod triggered scale-up: [{pool-1 1->2 (max: 5)}]", second=3)
    diagnosis = diagnose(seen(full, None, coming, second=50))
    assert (diagnosis.stage, diagnosis.fatal) == (Stage.MACHINE, False)
    assert diagnosis.sentence.endswith("usually takes a few minutes.")


def test_karpenters_nomination_is_a_new_machine_too():
    full = unscheduled("0/1 nodes are available: 1 Insufficient cpu.")
    nominated = event("Nominated", "Pod should schedule on: nodeclaim/default-x2x9f")
    assert diagnose(seen(full, None, nominated)).stage is Stage.MACHINE


def test_karpenters_nomination_of_a_machine_that_exists_is_no_new_one():
    full = unscheduled("0/8 nodes are available: 8 Insufficient cpu.")
    existing = event(
        "Nominated", "Pod should schedule on: nodeclaim/default-cvkcv, node/ip-10-1.ec2.internal"
    )
    told = diagnose(seen(full, None, existing, second=290))
    assert (told.stage, told.fatal) == (Stage.SCHEDULING, False)
    assert told.sentence == "Your server is waiting for a machine with more cpu."
    # The new machine of the nomination before has come.
    new = event("Nominated", "Pod should schedule on: nodeclaim/default-cvkcv", second=1)
    later = existing | {"lastTimestamp": at(80)}
    assert diagnose(seen(full, None, new, later, second=81)).stage is Stage.MACHINE


def test_a_machine_without_room_for_a_local_disk_is_not_added():
    """The disk of the claim would be on the machine itself (TopoLVM, OpenEBS), and no autoscaler knows that."""
    waiting = unscheduled("0/1 nodes are available: 1 node(s) did not have enough free storage.")
    events = (
        event("WaitForFirstConsumer", "waiting for first consumer to be created", uid=CLAIM_UID),
        event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 not enough free storage", second=10),
    )
    told = diagnose(seen(waiting, claim("Pending"), *events, second=290))
    assert told.sentence == "No machine has enough free disk space for your home volume."
    assert not told.fatal


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
        assert diagnosis.sentence == (
            "No machine with 2 GPUs was available, and the cluster could not add one. "
            "Choose a smaller server, or try again later."
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


class TestTheAutoscalerSaysNotNow:
    """It waits after a failed try, for 5 minutes at first, and tries again."""

    FULL = unscheduled("0/3 nodes are available: 1 Insufficient nvidia.com/gpu.", **GPUS)
    WAITING = "Your server is waiting for a machine with 2 GPUs."

    @pytest.mark.parametrize(
        "words",
        [
            "pod didn't trigger scale-up: 1 node(s) didn't match Pod's node affinity/selector, 1 in backoff after failed scale-up",
            "Pod didn't trigger scale-up: 1 in backoff after failed scale-up",
            "pod didn't trigger scale-up (it wouldn't fit if a new node is added): 2 max node group size reached, 1 in backoff after failed scale-up",
            "pod didn't trigger scale-up: 1 not ready for scale-up",
        ],
    )
    def test_then_the_start_goes_on_and_the_user_knows_what_for(self, words):
        no = event("NotTriggerScaleUp", words, second=10)
        diagnosis = diagnose(seen(self.FULL, None, no, second=500))
        assert (diagnosis.fatal, diagnosis.reason) == (False, Reason.UNSCHEDULABLE)
        assert (
            diagnosis.sentence
            == f"{self.WAITING} The cluster could not add one and tries again in a few minutes."
        )
        assert words in diagnosis.detail
        assert at_deadline(diagnosis, timedelta(minutes=5)).sentence == (
            "The cluster could not add a machine with 2 GPUs within 5 min. "
            "Choose a smaller server, or try again later."
        )

    def test_the_time_of_a_no_counts_from_the_end_of_that(self):
        not_now = event("NotTriggerScaleUp", "1 in backoff after failed scale-up", second=10)
        no = event("NotTriggerScaleUp", "1 max node group size reached", second=300)
        assert not diagnose(seen(self.FULL, None, not_now, no, second=419.9)).fatal
        assert diagnose(seen(self.FULL, None, not_now, no, second=420)).fatal

    def test_so_it_does_for_a_no_that_is_repeated_after_it(self):
        not_now = event("NotTriggerScaleUp", "1 in backoff after failed scale-up", second=200)
        no = event("NotTriggerScaleUp", "1 max node group size reached", second=10, lastTimestamp=at(310))
        assert not diagnose(seen(self.FULL, None, not_now, no, second=319)).fatal
        assert diagnose(seen(self.FULL, None, not_now, no, second=320)).fatal

    def test_a_no_before_it_does_not_count(self):
        no = event("NotTriggerScaleUp", "1 max node group size reached", second=10)
        not_now = event("NotTriggerScaleUp", "1 in backoff after failed scale-up", second=50)
        assert not diagnose(seen(self.FULL, None, no, not_now, second=500)).fatal

    def test_a_failed_try_is_followed_by_it(self):
        """As GKE tells it when the cloud has no such machine left."""
        yes = event("TriggeredScaleUp", "pod triggered scale-up", second=1)
        failed = event(
            "FailedScaleUp",
            "Node scale up in zones us-central1-a associated with this pod failed: GCE out of resources. Pod is at risk "
            "of not being scheduled.",
            second=30,
        )
        not_now = event(
            "NotTriggerScaleUp", "pod didn't trigger scale-up: 1 in backoff after failed scale-up", second=40
        )
        assert diagnose(seen(self.FULL, None, yes, second=20)).stage is Stage.MACHINE
        assert "GCE out of resources" in diagnose(seen(self.FULL, None, yes, failed, second=151)).detail
        assert diagnose(seen(self.FULL, None, yes, failed, second=151)).fatal
        assert not diagnose(seen(self.FULL, None, yes, failed, not_now, second=500)).fatal


def karpenter(reason, message, *, component="karpenter", second=5, **fields):
    return event(
        reason,
        message,
        second=second,
        reportingComponent=component,
        source={"component": component},
        **fields,
    )


class TestKarpenter:
    FULL = unscheduled("0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector.")
    NO = (
        'Failed to schedule pod, incompatible with nodepool "gpu", did not tolerate nvidia.com/gpu=:NoSchedule; '
        'incompatible with nodepool "default", no instance type satisfied resources {"cpu":"1","memory":"512Gi"}'
    )

    @pytest.mark.parametrize("component", ["karpenter", "eks-auto-mode/compute", ""])
    @pytest.mark.parametrize(
        "words",
        [
            NO,
            'Failed to schedule pod, all available instance types exceed limits for nodepool: "gpu"',
            'Failed to schedule pod, incompatible requirements, label "gpu" does not have known values',
            (
                "Failed to schedule pod, no instance type satisfied resources {} (no instance type which had enough "
                "resources and the required offering met the scheduling requirements)"
            ),
        ],
        ids=["resources", "limits", "requirements", "offering"],
    )
    def test_has_no_machine_and_the_start_ends_after_120_seconds(self, words, component):
        no = karpenter("FailedScheduling", words, component=component)
        assert not diagnose(seen(self.FULL, None, no, second=124.9)).fatal
        diagnosis = diagnose(seen(self.FULL, None, no, second=125))
        assert (diagnosis.fatal, diagnosis.reason) == (True, Reason.UNSCHEDULABLE)
        assert "the cluster could not add one." in diagnosis.sentence
        assert words in diagnosis.detail

    @pytest.mark.parametrize(
        "words",
        [
            "no instance type has the required offering",
            "no instance type which met the scheduling requirements and had enough resources, had a required offering",
        ],
    )
    def test_waits_for_a_cloud_that_has_no_such_machine_left(self, words):
        no = karpenter("FailedScheduling", f"Failed to schedule pod, {words}")
        diagnosis = diagnose(seen(self.FULL, None, no, second=500))
        assert not diagnosis.fatal
        assert "tries again in a few minutes" in diagnosis.sentence

    @pytest.mark.parametrize("reason", ["Nominated", "NominatedMachine"])
    def test_that_gives_up_its_machine_starts_none_any_more(self, reason):
        nominated = karpenter(reason, "Pod should schedule on: nodeclaim/gpu-abc12")
        no = karpenter("FailedScheduling", self.NO, second=70, lastTimestamp=at(190))
        assert diagnose(seen(self.FULL, None, nominated, second=60)).stage is Stage.MACHINE
        assert diagnose(seen(self.FULL, None, nominated, no, second=180)).stage is Stage.SCHEDULING
        assert diagnose(seen(self.FULL, None, nominated, no, second=190)).fatal

    @pytest.mark.parametrize(
        "component", ["default-scheduler", "gke.io/optimize-utilization-scheduler", "hub-user-scheduler"]
    )
    def test_is_not_a_scheduler_that_goes_on_trying(self, component):
        yes = event("TriggeredScaleUp", "pod triggered scale-up", second=1)
        tries = karpenter(
            "FailedScheduling", "0/4 nodes are available: 4 Insufficient cpu.", component=component, second=30
        )
        assert diagnose(seen(self.FULL, None, yes, tries, second=200)).stage is Stage.MACHINE
        assert not diagnose(seen(self.FULL, None, tries, second=500)).fatal

    def test_another_autoscaler_that_says_no_does_not_undo_its_yes(self):
        nominated = karpenter("Nominated", "Pod should schedule on: nodeclaim/gpu-abc12")
        no = karpenter(
            "NotTriggerScaleUp", "pod didn't trigger scale-up", component="cluster-autoscaler", second=10
        )
        later = no | {"lastTimestamp": at(300)}
        assert diagnose(seen(self.FULL, None, nominated, later, second=300)).stage is Stage.MACHINE
        refused = karpenter("FailedScheduling", self.NO, second=200)
        assert not diagnose(seen(self.FULL, None, nominated, later, refused, second=300)).fatal
        assert diagnose(seen(self.FULL, None, nominated, later, refused, second=320)).fatal


class TestAClaimOfAnother:
    """What the scheduler says of a volume may be about one that an administrator mounts into every server."""

    UNBOUND = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    ZONE = "0/3 nodes are available: 3 node(s) had volume node affinity conflict."

    def test_is_not_told_as_the_home_that_is_bound(self):
        mounted = unscheduled(self.UNBOUND, volumes=volumes("claim-jane", "shared-data"))
        diagnosis = diagnose(seen(mounted, claim("Bound")))
        assert (diagnosis.stage, diagnosis.reason) == (Stage.STORAGE, Reason.CLAIM_PENDING)
        assert diagnosis.sentence == 'The volume "shared-data" of your server has no disk yet.'
        assert at_deadline(diagnosis, timedelta(minutes=5)).sentence == (
            'The volume "shared-data" of your server did not get a disk within 5 min. '
            "Contact your administrator."
        )

    def test_whose_binding_takes_too_long_is_named(self):
        late = 'running PreBind plugin "VolumeBinding": binding volumes: timed out waiting for the condition'
        mounted = unscheduled(late, volumes=volumes("claim-jane", "scratch"))
        told = diagnose(seen(mounted, claim("Bound")))
        assert told.sentence == 'The volume "scratch" of your server has no disk yet.'

    def test_is_told_without_its_name_where_there_are_several(self):
        for each in (
            unscheduled(self.UNBOUND),
            unscheduled(self.UNBOUND, volumes=volumes("claim-jane", "a", "b")),
        ):
            assert diagnose(seen(each, claim("Bound"))).sentence == "A volume of your server has no disk yet."

    def test_is_not_told_as_the_home_whose_zone_is_another(self):
        mounted = unscheduled(self.ZONE, volumes=volumes("claim-jane", "shared-data"))
        assert "in the zone of a volume of your server" in diagnose(seen(mounted, claim("Bound"))).sentence
        alone = unscheduled(self.ZONE, volumes=volumes("claim-jane"))
        assert "in the zone of your home volume" in diagnose(seen(alone, claim("Bound"))).sentence

    def test_may_be_the_only_one_where_the_home_is_not_the_hubs(self):
        mounted = unscheduled(self.UNBOUND, volumes=volumes("shared-data"))
        assert diagnose(seen(mounted)).sentence == 'The volume "shared-data" of your server has no disk yet.'


def volumes(*claims):
    return [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]


def test_a_pod_that_the_scheduler_has_not_seen_is_looked_after():
    diagnosis = diagnose(seen(pod(phase="Pending"), second=3))
    assert (diagnosis.stage, diagnosis.sentence) == (
        Stage.SCHEDULING,
        "Looking for a machine for your server.",
    )


class TestRequested:
    def test_the_containers_add_up(self):
        spec = {"containers": [{"resources": {"requests": {"memory": "1Gi"}}}] * 2 + [{}]}
        assert total_request(spec, "memory") == Decimal(2 * 2**30)

    def test_a_larger_step_before_them_decides(self):
        spec = {
            "initContainers": [{"resources": {"requests": {"cpu": "2"}}}],
            "containers": [{"resources": {"requests": {"cpu": "500m"}}}],
        }
        assert total_request(spec, "cpu") == Decimal(2)

    def test_a_side_container_among_the_steps_counts_with_the_containers(self):
        spec = {
            "initContainers": [{"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}],
            "containers": [{"resources": {"requests": {"cpu": "500m"}}}],
        }
        assert total_request(spec, "cpu") == Decimal("1.5")

    def test_a_limit_without_request_is_the_request(self):
        assert total_request({"containers": [{"resources": {"limits": {"cpu": "3"}}}]}, "cpu") == Decimal(3)


# Beside another server of the user


def beside(message, server="gpu"):
    return unscheduled(message) | {
        "metadata": unscheduled(message)["metadata"] | {"annotations": {SAME_NODE_ANNOTATION: server}}
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
        'Your server is waiting for room on the machine of your server "gpu", because both use the same volume.'
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
        "Your default server uses a volume of this server on a machine of another kind"
    )


def test_a_server_beside_another_that_has_its_machine_is_told_as_any_other():
    there = placed()
    there["metadata"]["annotations"] = {SAME_NODE_ANNOTATION: "gpu"}
    assert diagnose(seen(there)).reason is None
