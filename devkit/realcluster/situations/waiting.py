"""Pods and claims that do not get on: judged by the real scheduler and the real controllers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devkit.realcluster.api import wait_for
from devkit.realcluster.controlplane import remove_host_path
from devkit.realcluster.nodes import UNPLAYED_NODE, are_usable, make_nodes
from devkit.realcluster.situations.kubelet import running_status
from devkit.realcluster.situations.scene import (
    CLAIM,
    POD,
    TOLERATES_TAINT,
    Scene,
    container,
    resources,
    with_claim,
)

Recorded = dict[str, Any]
STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
VOLUMES = "/api/v1/persistentvolumes"


def running(scene: Scene) -> Recorded:
    """A pod that runs (its node and kubelet are played by kwok)."""
    scene.create_claim()
    scene.create_pod(**with_claim())
    wait_for(lambda: scene.pod()["status"]["phase"] == "Running", "the pod running")
    scene.wait_for_event("Scheduled")
    return scene.seen()


def unschedulable_memory(scene: Scene) -> Recorded:
    """No node has the memory."""
    return _unschedulable(scene, **resources(memory="512Gi"))


def unschedulable_cpu_and_memory(scene: Scene) -> Recorded:
    """No node has the CPUs, nor the memory."""
    return _unschedulable(scene, **resources(memory="512Gi", cpu="128"))


def unschedulable_gpu(scene: Scene) -> Recorded:
    """No node has a GPU."""
    gpu = {"nvidia.com/gpu": "2"}
    return _unschedulable(scene, **resources(limits=gpu, **gpu))


def unschedulable_node_selector(scene: Scene) -> Recorded:
    """No node has the label."""
    return _unschedulable(scene, nodeSelector={"pool": "users"})


def unschedulable_taint(scene: Scene) -> Recorded:
    """The one node with the label has a taint that the pod does not tolerate."""
    return _unschedulable(scene, nodeSelector={"kubernetes.io/hostname": UNPLAYED_NODE})


def unschedulable_cordoned(scene: Scene) -> Recorded:
    """The one node with the label is cordoned."""
    with _another_node(scene, "cordoned") as name:
        scene.admin.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})
        return _unschedulable(scene, nodeSelector={"kubernetes.io/hostname": name})


def unschedulable_full(scene: Scene) -> Recorded:
    """The one node with the label is full of other users' pods; nobody's priority is lower."""
    with _another_node(scene, "full") as name:
        there = {"nodeSelector": {"kubernetes.io/hostname": name}}
        scene.create_pod("jupyter-bob", **there, **resources(memory="200Gi"))
        wait_for(lambda: scene.pod("jupyter-bob")["status"]["phase"] == "Running", "the other user's pod")
        return _unschedulable(scene, **there, **resources(memory="100Gi"))


def preempted(scene: Scene) -> Recorded:
    """A pod deleted by the scheduler for a pod of a higher priority, while it shuts down."""
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    for name, value in (("placeholder", -10), ("user", 10)):
        scene.admin.create(classes, {"metadata": {"name": name}, "value": value})
    large = resources(memory="200Gi")
    _run_on_unplayed_node(scene, priorityClassName="placeholder", **large)
    there = {"nodeSelector": {"kubernetes.io/hostname": UNPLAYED_NODE}, "tolerations": TOLERATES_TAINT}
    scene.create_pod("jupyter-bob", priorityClassName="user", **there, **large)
    wait_for(lambda: scene.pod()["metadata"].get("deletionTimestamp"), "the victim deleted")
    scene.wait_for_event("Preempted")
    return scene.seen()


def node_lost(scene: Scene) -> Recorded:
    """A pod deleted by the taint manager because its node is unreachable; it stays until the node answers."""
    path = f"/api/v1/nodes/{UNPLAYED_NODE}"
    before = scene.admin.get(path)["spec"]["taints"]
    impatient = {"operator": "Exists", "tolerationSeconds": 0, "effect": "NoExecute"}
    _run_on_unplayed_node(scene, tolerations=[*TOLERATES_TAINT, impatient])
    lost = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    scene.admin.patch(path, {"spec": {"taints": [*before, lost]}})
    try:
        wait_for(lambda: scene.pod()["metadata"].get("deletionTimestamp"), "the pod deleted")
        scene.wait_for_event("TaintManagerEviction")
        return scene.seen()
    finally:
        scene.admin.patch(path, {"spec": {"taints": before}})


def terminating(scene: Scene) -> Recorded:
    """A pod that somebody deleted and whose node has not said that it is gone."""
    _run_on_unplayed_node(scene)
    scene.admin.delete(f"{scene.core}/pods/{POD}")
    return scene.seen()


def terminating_finalizer(scene: Scene) -> Recorded:
    """A deleted pod that stays because of somebody's finalizer."""
    _run_on_unplayed_node(scene)
    path = f"{scene.core}/pods/{POD}"
    scene.admin.patch(path, {"metadata": {"finalizers": ["backup.example.test/wait"]}})
    scene.remove_at_once()
    seen = scene.seen()
    scene.admin.patch(path, {"metadata": {"finalizers": None}})
    return seen


def claim_class_unknown(scene: Scene) -> Recorded:
    """A claim of a storage class that nobody made."""
    scene.create_claim(storageClassName="fast")
    return _waiting_for_claim(scene, "ProvisioningFailed", "unbound immediate")


def claim_no_class(scene: Scene) -> Recorded:
    """A claim of no storage class, and no volume that fits."""
    scene.create_claim(storageClassName="")
    return _waiting_for_claim(scene, "FailedBinding", "unbound immediate")


def claim_external_provisioner(scene: Scene) -> Recorded:
    """A claim whose provisioner (a driver outside of Kubernetes) does not answer."""
    _make_class(scene, "external", "Immediate")
    scene.create_claim(storageClassName="external")
    return _waiting_for_claim(scene, "ExternalProvisioning", "unbound immediate")


def claim_first_consumer(scene: Scene) -> Recorded:
    """A claim that is provisioned on the node of its first pod; its driver does not answer."""
    _make_class(scene, "first-consumer", "WaitForFirstConsumer")
    scene.create_claim(storageClassName="first-consumer")
    scene.wait_for_event("WaitForFirstConsumer")
    scene.create_pod(**with_claim())
    scene.wait_for_event("ExternalProvisioning")
    return scene.seen()


def claim_missing(scene: Scene) -> Recorded:
    """A pod whose claim is not there."""
    return _unschedulable(scene, **with_claim())


def claim_terminating(scene: Scene) -> Recorded:
    """A pod whose claim is being deleted, held by another pod that uses it."""
    scene.create_claim()
    scene.create_pod("jupyter-alice--old", **with_claim())
    wait_for(lambda: scene.pod("jupyter-alice--old")["status"]["phase"] == "Running", "the other pod")
    scene.wait_for_claim("Bound")
    scene.admin.delete(f"{scene.core}/persistentvolumeclaims/{CLAIM}")
    return _unschedulable(scene, **with_claim())


def claim_lost(scene: Scene) -> Recorded:
    """A pod whose claim was bound to a volume that somebody deleted."""
    scene.create_claim()
    scene.wait_for_claim("Bound")
    volume = f"{VOLUMES}/{scene.claim()['spec']['volumeName']}"
    remove_host_path(scene.admin.delete(volume))
    scene.admin.patch(volume, {"metadata": {"finalizers": None}})
    scene.wait_for_claim("Lost")
    return _unschedulable(scene, **with_claim())


def claim_other_zone(scene: Scene) -> Recorded:
    """A pod whose volume is on a node (or in a zone) where the pod may not go."""
    affinity = {
        "required": {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [
                        {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["b"]}
                    ]
                }
            ]
        }
    }
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
        "hostPath": {"path": "/nowhere"},
        "nodeAffinity": affinity,
        "claimRef": {"namespace": scene.namespace, "name": CLAIM},
    }
    name = f"{scene.namespace}-volume"
    scene.admin.create(VOLUMES, {"metadata": {"name": name}, "spec": spec})
    scene.create_claim(storageClassName="", volumeName=name)
    scene.wait_for_claim("Bound")
    return _unschedulable(scene, **with_claim())


def scheduling_gated(scene: Scene) -> Recorded:
    """A pod that a queueing system holds back by a scheduling gate."""
    scene.create_pod(schedulingGates=[{"name": "kueue.example.test/admission"}])
    wait_for(lambda: scene.pod()["status"].get("conditions"), "the scheduler's word")
    return scene.seen()


def scheduler_away(scene: Scene) -> Recorded:
    """A pod for a scheduler that does not run: no condition, no event."""
    scene.create_pod(schedulerName="jhub-user-scheduler", containers=[container()])
    return scene.seen()


def _unschedulable(scene: Scene, **spec: Any) -> Recorded:
    scene.create_pod(**spec)
    scene.wait_for_event("FailedScheduling")
    return scene.seen()


def _waiting_for_claim(scene: Scene, claim_reason: str, pod_text: str) -> Recorded:
    scene.create_pod(**with_claim())
    scene.wait_for_event(claim_reason)
    scene.wait_for_event("FailedScheduling", pod_text)
    return scene.seen()


def _make_class(scene: Scene, name: str, mode: str) -> None:
    body = {"metadata": {"name": name}, "provisioner": "csi.example.test", "volumeBindingMode": mode}
    scene.admin.create(STORAGE_CLASSES, body)


def _run_on_unplayed_node(scene: Scene, **spec: Any) -> None:
    """A pod that runs where no kubelet will ever say that it has ended."""
    created = scene.create_unplayed_pod(**spec)
    scene.admin.patch(f"{scene.core}/pods/{POD}/status", {"status": running_status(created)})


@contextmanager
def _another_node(scene: Scene, name: str) -> Iterator[str]:
    """Within it there is one more node."""
    [made] = make_nodes(scene.admin, 1, prefix=name)
    wait_for(lambda: are_usable(scene.admin), f"node {made} usable")
    try:
        yield made
    finally:
        scene.admin.delete(f"/api/v1/nodes/{made}")


WAITING = (
    running,
    unschedulable_memory,
    unschedulable_cpu_and_memory,
    unschedulable_gpu,
    unschedulable_node_selector,
    unschedulable_taint,
    unschedulable_cordoned,
    unschedulable_full,
    preempted,
    node_lost,
    terminating,
    terminating_finalizer,
    claim_class_unknown,
    claim_no_class,
    claim_external_provisioner,
    claim_first_consumer,
    claim_missing,
    claim_terminating,
    claim_lost,
    claim_other_zone,
    scheduling_gated,
    scheduler_away,
)
