"""What users read of starts as clouds tell them: the same events in the same order, from AWS and Google Cloud.

Whatever a start comes to, to start again is no advice for a server that no machine can hold.
"""

import pytest

from k8s_hub.diagnosis.diagnosis import Reason, Stage
from k8s_hub.diagnosis.rules import diagnose
from tests.diagnosis.samples import POD_UID, at, condition, container, event, placed, seen, unscheduled

STEP, SERVER = "spec.initContainers{block-nfs-access}", "spec.containers{notebook}"
TOOLS, LAB = "quay.io/jupyterhub/k8s-network-tools:4.1.0", "quay.io/example/lab:2026"


def kubelet(second, reason, message, path=None, **fields):
    involved = {"uid": POD_UID} | ({"fieldPath": path} if path else {})
    return event(
        reason, message, second=second, involvedObject=involved, reportingComponent="kubelet", **fields
    )


def scheduler(second, reason, message, component="prod-user-scheduler", **fields):
    moments = {"firstTimestamp": None, "lastTimestamp": None, "eventTime": f"{at(second)[:-1]}.500000Z"}
    return event(reason, message, second=second, reportingComponent=component, source={}, **moments, **fields)


def autoscaler(second, reason, message):
    return event(reason, message, second=second, source={"component": "cluster-autoscaler"})


SCHEDULED = scheduler(1, "Scheduled", "Successfully assigned prod/jupyter-jane to node-1")
TOOLS_THERE = kubelet(1, "Pulled", f'Container image "{TOOLS}" already present on machine', STEP)
STEP_STARTED = kubelet(2, "Started", "Started container block-nfs-access", STEP)
LAB_THERE = kubelet(3, "Pulled", f'Container image "{LAB}" already present on machine', SERVER)
SERVER_STARTED = kubelet(4, "Started", "Started container notebook", SERVER)


def with_step(step, notebook, **status):
    whole = placed(notebook, initContainerStatuses=[step], **status)
    whole["spec"]["initContainers"] = [{"name": "block-nfs-access", "image": TOOLS}]
    return whole


WAITING = container(waiting={"reason": "PodInitializing"})
STEP_WAITS = container("block-nfs-access", waiting={"reason": "PodInitializing"})
STEP_RUNS = container("block-nfs-access", running={"startedAt": at(2)})
STEP_DONE = container("block-nfs-access", terminated={"exitCode": 0})
RUNS = container(running={"startedAt": at(4)})


@pytest.mark.parametrize(
    "events",
    [
        (SCHEDULED, TOOLS_THERE, STEP_STARTED, LAB_THERE, SERVER_STARTED),
        (TOOLS_THERE, STEP_STARTED, SCHEDULED, LAB_THERE, SERVER_STARTED),
        (
            TOOLS_THERE,
            STEP_STARTED,
            LAB_THERE,
            SERVER_STARTED,
            scheduler(1, "Scheduled", "Successfully assigned", "gke.io/optimize-utilization-scheduler"),
        ),
    ],
    ids=["aws", "aws, out of order", "google cloud"],
)
def test_a_start_on_a_machine_that_has_everything(events):
    def told(pod, count):
        return diagnose(seen(pod, None, *events[:count])).sentence

    assert told(with_step(STEP_WAITS, WAITING), 1) == "Found a machine; setting up your server."
    assert (
        told(with_step(STEP_RUNS, WAITING), 3)
        == 'The setup step "block-nfs-access" of your server is running.'
    )
    assert (
        told(with_step(STEP_DONE, RUNS, phase="Running"), 5)
        == "Your server is running. Waiting for its first response."
    )


TOO_LARGE = "Choose a smaller server, or contact your administrator."


@pytest.mark.parametrize(
    "reason,message,sentence",
    [
        (
            "OutOfcpu",
            "Node didn't have enough resource: cpu, requested: 200000, used: 662, capacity: 3920",
            f"Your server needs 200 CPUs, but its machine has only 3.92. {TOO_LARGE}",
        ),
        (
            "OutOfmemory",
            "Node didn't have enough resource: memory, requested: 200000000000, used: 4196441039, capacity: 32221597696",
            f"Your server needs 186.3 GiB of memory, but its machine has only 30 GiB. {TOO_LARGE}",
        ),
    ],
    ids=["aws, out of cpu", "aws, out of memory"],
)
def test_a_server_that_the_machine_can_never_hold(reason, message, sentence):
    refused = placed(phase="Failed", reason=reason, message=f"Pod was rejected: {message}")
    diagnosis = diagnose(seen(refused, None, kubelet(1, reason, message)))
    assert (diagnosis.sentence, diagnosis.fatal) == (sentence, True)


def test_a_server_that_came_before_the_labels_of_its_new_machine():
    words = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
    refused = placed(phase="Failed", reason="NodeAffinity", message=f"Pod was rejected: {words}")
    diagnosis = diagnose(seen(refused, None, kubelet(1, "NodeAffinity", words)))
    assert diagnosis.fatal
    assert diagnosis.sentence == (
        "Your server came to a machine that is not of the kind it asks for. "
        "Try again; if it keeps happening, contact your administrator."
    )


NO_ROOM = "0/4 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 3 node(s) didn't match Pod's node affinity/selector."
NO_KIND = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
NOT_READY = "0/3 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."
GKE = "gke.io/optimize-utilization-scheduler"
LARGE = {"containers": [{"name": "notebook", "resources": {"requests": {"cpu": "3", "memory": "8Gi"}}}]}


def test_a_new_machine_on_aws_and_the_image_that_it_has_to_download():
    failed = scheduler(1, "FailedScheduling", NO_ROOM)
    scaled = autoscaler(
        8, "TriggeredScaleUp", "pod triggered scale-up: [{eks-some-node-group 1->2 (max: 100)}]"
    )
    pulling_tools = kubelet(50, "Pulling", f'Pulling image "{TOOLS}"', STEP)
    pulled_tools = kubelet(52, "Pulled", f'Successfully pulled image "{TOOLS}" in 2.226s', STEP)
    pulling_lab = kubelet(62, "Pulling", f'Pulling image "{LAB}"', SERVER)
    events = (
        failed,
        scaled,
        scheduler(48, "Scheduled", "Successfully assigned"),
        pulling_tools,
        pulled_tools,
        pulling_lab,
    )

    def told(pod, count, second):
        return diagnose(seen(pod, None, *events[:count], second=second)).sentence

    waiting = unscheduled(NO_ROOM, **LARGE)
    assert told(waiting, 1, 5) == "Your server is waiting for a machine with 3 CPUs and 8 GiB of memory."
    assert told(waiting, 2, 40) == (
        "The cluster is adding a machine for your server, which usually takes a few minutes."
    )
    assert told(with_step(STEP_WAITS, WAITING), 4, 51) == f'Downloading the image "{TOOLS}".'
    assert told(with_step(STEP_DONE, WAITING), 6, 212) == f'Downloading the image "{LAB}".'


def test_a_new_machine_on_google_cloud_that_is_not_ready_at_first():
    """Its scheduler goes on to say that no machine will do, and a controller of taints names no uid."""
    events = (
        scheduler(1, "FailedScheduling", NO_KIND, GKE),
        autoscaler(
            2, "TriggeredScaleUp", "Pod triggered scale-up: [{https://www.googleapis.com/x 0->1 (max: 100)}]"
        ),
        scheduler(39, "FailedScheduling", NOT_READY, GKE, series={"count": 2, "lastObservedTime": at(43)}),
        scheduler(50, "Scheduled", "Successfully assigned prod/jupyter-jane to node-1", GKE),
        event(
            "TaintManagerEviction",
            "Cancelling deletion of Pod prod/jupyter-jane",
            second=53,
            involvedObject={"name": "jupyter-jane"},
        ),
        kubelet(62, "Pulling", f'Pulling image "{LAB}"', SERVER),
    )

    def told(pod, count, second):
        return diagnose(seen(pod, None, *events[:count], second=second))

    assert (
        told(unscheduled(NO_KIND), 1, 1).sentence
        == "Your server is waiting for a machine of the kind it asks for."
    )
    for message, count, second in ((NO_KIND, 2, 30), (NOT_READY, 3, 45)):
        coming = told(unscheduled(message), count, second)
        assert (coming.stage, coming.fatal) == (Stage.MACHINE, False)
    assert told(with_step(STEP_WAITS, WAITING), 5, 55).reason is None
    assert told(with_step(STEP_DONE, WAITING), 6, 63).sentence == f'Downloading the image "{LAB}".'


def test_an_image_that_the_registry_takes_for_no_name_at_all():
    """The pod before it had the same name, and was stopped: its events are not this one's."""
    refusal = (
        'failed to pull and unpack image "ghcr.io/foo:bat": failed to resolve reference "ghcr.io/foo:bat": failed to '
        "authorize: failed to fetch anonymous token: unexpected status from GET request to "
        "https://ghcr.io/token?scope=repository%3Afoo%3Apull&service=ghcr.io: 400 Bad Request"
    )
    events = (
        event("Killing", "Stopping container notebook", second=1, uid="an-earlier-pod"),
        scheduler(1, "Scheduled", "Successfully assigned staging/jupyter-jane to node-1"),
        kubelet(2, "Pulling", 'Pulling image "ghcr.io/foo:bat"', SERVER, count=2),
        kubelet(3, "Failed", f'Failed to pull image "ghcr.io/foo:bat": {refusal}', SERVER, count=2),
        kubelet(3, "Failed", "Error: ErrImagePull", SERVER, count=2),
        kubelet(4, "BackOff", 'Back-off pulling image "ghcr.io/foo:bat"', SERVER),
        kubelet(4, "Failed", "Error: ImagePullBackOff", SERVER),
    )
    backs_off = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "ghcr.io/foo:bat"'}
    fails = placed(container(waiting=backs_off))
    fails["status"]["conditions"].append(condition("Initialized", "True"))
    fails["spec"]["containers"][0]["image"] = "ghcr.io/foo:bat"
    assert diagnose(seen(fails, None, *events, second=22.9)).fatal is False
    diagnosis = diagnose(seen(fails, None, *events, second=23))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.IMAGE_DENIED, True)
    assert diagnosis.sentence == (
        'The image "ghcr.io/foo:bat" does not exist, or this hub may not download it. '
        "Check its name, or ask your administrator for access."
    )
