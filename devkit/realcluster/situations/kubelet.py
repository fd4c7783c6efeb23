"""What only a kubelet, an attacher or an autoscaler says: written in their form, stored by the real server.

No kubelet runs in the real cluster's control plane. Forms and messages are those of Kubernetes 1.35's kubelet and of containerd.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from devkit.realcluster.nodes import UNPLAYED_NODE
from devkit.realcluster.situations.scene import IMAGE, POD, Raw, Scene, container, resources, with_claim

Recorded = dict[str, Any]
NODE_ADDRESS, POD_ADDRESS = "10.1.0.4", "10.1.4.21"
CONTAINER_ID = "containerd://" + "4f" * 32
IMAGE_ID = "registry.example.test/notebook@sha256:" + "ab" * 32
CRASH_BACK_OFF = "back-off 40s restarting failed container=notebook pod={name}_{namespace}({uid})"


# --- images ---


def image_not_found(scene: Scene) -> Recorded:
    """The image does not exist; the kubelet backs off between tries."""
    return _image_pull(
        scene,
        f'rpc error: code = NotFound desc = {_pulling()}: failed to resolve reference "{IMAGE}": {IMAGE}: not found',
    )


def image_not_found_first_try(scene: Scene) -> Recorded:
    """The image does not exist; the first pull has just failed."""
    cause = f'rpc error: code = NotFound desc = {_pulling()}: failed to resolve reference "{IMAGE}": {IMAGE}: not found'
    return _image_pull(scene, cause, is_first_try=True)


def image_denied_or_missing(scene: Scene) -> Recorded:
    """The registry does not say whether the image is missing or access is denied (as public registries do)."""
    cause = "pull access denied, repository does not exist or may require authorization"
    detail = "server message: insufficient_scope: authorization failed"
    return _image_pull(scene, f'{_pulling()}: failed to resolve reference "{IMAGE}": {cause}: {detail}')


def image_unauthorized(scene: Scene) -> Recorded:
    """The registry wants a login and there is none, or a wrong one (401)."""
    token = "failed to authorize: failed to fetch oauth token: unexpected status from GET request to"
    url = "https://registry.example.test/service/token?scope=repository%3Anotebook%3Apull"
    return _image_pull(
        scene, f'{_pulling()}: failed to resolve reference "{IMAGE}": {token} {url}: 401 Unauthorized'
    )


def image_forbidden(scene: Scene) -> Recorded:
    """The registry refuses this login (403)."""
    cause = "unexpected status from HEAD request to https://registry.example.test/v2/notebook/manifests/1"
    return _image_pull(scene, f'{_pulling()}: failed to resolve reference "{IMAGE}": {cause}: 403 Forbidden')


def image_registry_away(scene: Scene) -> Recorded:
    """The registry's name does not resolve."""
    url = "https://registry.example.test/v2/notebook/manifests/1"
    cause = f'failed to do request: Head "{url}": dial tcp: lookup registry.example.test: no such host'
    return _image_pull(scene, f'{_pulling()}: failed to resolve reference "{IMAGE}": {cause}')


def image_too_many_requests(scene: Scene) -> Recorded:
    """The registry limits how often one may pull (429)."""
    url = "https://registry.example.test/v2/notebook/manifests/sha256:" + "ab" * 32
    cause = (
        f"failed to copy: httpReadSeeker: failed open: unexpected status code {url}: 429 Too Many Requests"
    )
    return _image_pull(scene, f"{_pulling()}: {cause}")


def image_name_invalid(scene: Scene) -> Recorded:
    """The image's name is no name."""
    image = "registry.example.test/Notebook:1"
    pod = scene.create_unplayed_pod(containers=[container(image=image)])
    cause = "couldn't parse image name"
    message = f'Failed to apply default image tag "{image}": {cause} "{image}": invalid reference format: repository name (Notebook) must be lowercase'
    _write(scene, _pending(pod, _waiting("InvalidImageName", message)))
    _emit(scene, pod, "Warning", "InspectFailed", message, seconds=2)
    _emit(scene, pod, "Warning", "Failed", "Error: InvalidImageName", seconds=2)
    return scene.seen()


def image_never_pulled(scene: Scene) -> Recorded:
    """The image is not on the node and its policy is Never."""
    pod = scene.create_unplayed_pod(containers=[container(imagePullPolicy="Never")])
    message = f'Container image "{IMAGE}" is not present with pull policy of Never'
    _write(scene, _pending(pod, _waiting("ErrImageNeverPull", message)))
    _emit(scene, pod, "Warning", "ErrImageNeverPull", message, seconds=2)
    _emit(scene, pod, "Warning", "Failed", "Error: ErrImageNeverPull", seconds=2)
    return scene.seen()


def image_being_pulled(scene: Scene) -> Recorded:
    """A pull that goes on; nothing is wrong."""
    pod = scene.create_unplayed_pod()
    _write(scene, _pending(pod, _waiting("ContainerCreating")))
    _emit(scene, pod, "Normal", "Pulling", f'Pulling image "{IMAGE}"', seconds=2)
    return scene.seen()


# --- containers ---


def crash_loop(scene: Scene) -> Recorded:
    """The notebook ended with 1 three times and waits for its next start."""
    return _crash_loop(scene, _terminated(1, "Error"))


def crash_loop_out_of_memory(scene: Scene) -> Recorded:
    """The notebook was killed for its memory three times and waits for its next start."""
    return _crash_loop(
        scene, _terminated(137, "OOMKilled"), **resources(memory="512Mi", limits={"memory": "512Mi"})
    )


def restarted_out_of_memory(scene: Scene) -> Recorded:
    """The notebook runs again after it was killed for its memory once."""
    limited = resources(memory="512Mi", limits={"memory": "512Mi"})
    pod = scene.create_unplayed_pod(restartPolicy="OnFailure", **limited)
    state = _container(_running(pod), restarts=1, last=_terminated(137, "OOMKilled")(pod), is_ready=True)
    _write(scene, _status(pod, "Running", [state]))
    _started(scene, pod)
    return scene.seen()


def out_of_memory(scene: Scene) -> Recorded:
    """The notebook was killed for its memory and is not restarted."""
    limited = resources(memory="512Mi", limits={"memory": "512Mi"})
    return _ended(scene, "Failed", _terminated(137, "OOMKilled"), **limited)


def ended_with_error(scene: Scene) -> Recorded:
    """The notebook ended with 1 and is not restarted."""
    return _ended(scene, "Failed", _terminated(1, "Error"))


def ended_by_signal(scene: Scene) -> Recorded:
    """The notebook was killed by a signal (137) that was not for its memory."""
    return _ended(scene, "Failed", _terminated(137, "Error"))


def completed(scene: Scene) -> Recorded:
    """The notebook ended with 0: its user shut it down."""
    return _ended(scene, "Succeeded", _terminated(0, "Completed"))


def command_not_found(scene: Scene) -> Recorded:
    """The image has not got the command."""
    command = "jupyterhub-singleuser"
    cause = f'exec: "{command}": executable file not found in $PATH'
    message = f"failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: {cause}: unknown"
    pod = scene.create_unplayed_pod(restartPolicy="Never", containers=[container(command=[command])])
    ended = _terminated(128, "StartError")(pod)
    ended["terminated"] |= {"message": message, "startedAt": "1970-01-01T00:00:00Z"}
    _write(scene, _status(pod, "Failed", [_container(ended)]))
    _pulled(scene, pod)
    _emit(scene, pod, "Normal", "Created", "Container created", seconds=4)
    _emit(scene, pod, "Warning", "Failed", f"Error: {message}", seconds=5)
    return scene.seen()


def secret_missing(scene: Scene) -> Recorded:
    """An environment variable comes from a Secret that is not there."""
    variable = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}}
    pod = scene.create_unplayed_pod(containers=[container(env=[variable])])
    message = 'secret "keys" not found'
    _write(scene, _pending(pod, _waiting("CreateContainerConfigError", message)))
    _pulled(scene, pod)
    _emit(scene, pod, "Warning", "Failed", f"Error: {message}", seconds=4, count=3)
    return scene.seen()


def container_creating(scene: Scene) -> Recorded:
    """A pod on its node whose container is being made; nothing is wrong."""
    pod = scene.create_unplayed_pod()
    _write(scene, _pending(pod, _waiting("ContainerCreating")))
    return scene.seen()


def init_running(scene: Scene) -> Recorded:
    """An init container that works; the notebook waits for it."""
    pod = _with_init(scene)
    init = _container(_running(pod), name="prepare", image=INIT_IMAGE)
    _write(scene, _initializing(pod, init))
    return scene.seen()


def init_failed(scene: Scene) -> Recorded:
    """An init container ended with 1 and the pod is not restarted."""
    pod = _with_init(scene)
    init = _container(_terminated(1, "Error")(pod), name="prepare", image=INIT_IMAGE)
    _write(scene, _initializing(pod, init, phase="Failed"))
    return scene.seen()


def init_crash_loop(scene: Scene) -> Recorded:
    """An init container that fails again and again."""
    pod = _with_init(scene, restartPolicy="OnFailure")
    names = _facts(pod)
    message = CRASH_BACK_OFF.format(**names).replace("container=notebook", "container=prepare")
    waiting = _waiting("CrashLoopBackOff", message)
    init = _container(
        waiting, name="prepare", image=INIT_IMAGE, restarts=3, last=_terminated(1, "Error")(pod)
    )
    _write(scene, _initializing(pod, init))
    text = f"Back-off restarting failed container prepare in pod {names['name']}_{names['namespace']}({names['uid']})"
    _emit(scene, pod, "Warning", "BackOff", text, seconds=60, count=4, field="spec.initContainers{prepare}")
    return scene.seen()


def sandbox_failed(scene: Scene) -> Recorded:
    """The node's network plugin cannot make the pod's sandbox."""
    pod = scene.create_unplayed_pod()
    _write(scene, _pending(pod, _waiting("ContainerCreating")))
    cause = 'plugin type="calico" failed (add): error getting ClusterInformation: connection is unauthorized'
    message = f'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "{"4f" * 32}": {cause}'
    _emit(scene, pod, "Warning", "FailedCreatePodSandBox", message, seconds=3, count=5, field=None)
    return scene.seen()


# --- volumes ---


def mount_failed(scene: Scene) -> Recorded:
    """The home volume cannot be mounted on the node."""
    cause = "rpc error: code = Internal desc = mount failed: exit status 32: mount.nfs: Connection timed out"
    return _volume(scene, "FailedMount", f'MountVolume.SetUp failed for volume "{{volume}}" : {cause}')


def mount_timed_out(scene: Scene) -> Recorded:
    """The home volume was not attached in time."""
    state = "unmounted volumes=[home], unattached volumes=[], failed to process volumes=[]: context deadline exceeded"
    return _volume(scene, "FailedMount", f"Unable to attach or mount volumes: {state}")


def mount_config_map_missing(scene: Scene) -> Recorded:
    """A volume comes from a ConfigMap that is not there."""
    volume = {"name": "settings", "configMap": {"name": "settings"}}
    pod = scene.create_unplayed_pod(volumes=[volume])
    _write(scene, _pending(pod, _waiting("ContainerCreating")))
    message = 'MountVolume.SetUp failed for volume "settings" : configmap "settings" not found'
    _emit(scene, pod, "Warning", "FailedMount", message, seconds=3, count=6, field=None)
    return scene.seen()


def attach_multi(scene: Scene) -> Recorded:
    """The home volume is still attached to another node, for a pod of the same namespace."""
    message = 'Multi-Attach error for volume "{volume}" Volume is already used by pod(s) jupyter-alice--old'
    return _volume(scene, "FailedAttachVolume", message, by="attachdetach-controller")


def attach_multi_node_lost(scene: Scene) -> Recorded:
    """The home volume is still attached to another node, for no pod that is known."""
    message = "Volume is already exclusively attached to one node and can't be attached to another"
    return _volume(
        scene,
        "FailedAttachVolume",
        f'Multi-Attach error for volume "{{volume}}" {message}',
        by="attachdetach-controller",
    )


def attach_failed(scene: Scene) -> Recorded:
    """The cloud cannot attach the home volume."""
    cause = "rpc error: code = NotFound desc = Volume not found"
    message = f'AttachVolume.Attach failed for volume "{{volume}}" : {cause}'
    return _volume(scene, "FailedAttachVolume", message, by="attachdetach-controller")


# --- nodes ---


def evicted(scene: Scene) -> Recorded:
    """Evicted by the kubelet because the node ran out of memory; no container statuses are left."""
    usage = "Container notebook was using 1843Mi, request is 512Mi, has larger consumption of memory. "
    message = f"The node was low on resource: memory. Threshold quantity: 100Mi, available: 88Mi. {usage}"
    pod = scene.create_unplayed_pod(**resources(memory="512Mi"))
    target = _condition(pod, "DisruptionTarget", "True", "TerminationByKubelet", message)
    _write(scene, _gone(pod, "Evicted", message, [target]))
    _emit(scene, pod, "Warning", "Evicted", message, seconds=600, field=None)
    _emit(scene, pod, "Normal", "Killing", "Stopping container notebook", seconds=600)
    return scene.seen()


def evicted_disk(scene: Scene) -> Recorded:
    """Evicted by the kubelet because the user wrote more than the limit for the node's own disk."""
    message = 'Container notebook exceeded its local ephemeral storage limit "1Gi". '
    pod = scene.create_unplayed_pod()
    _write(scene, _gone(pod, "Evicted", message, []))
    _emit(scene, pod, "Warning", "Evicted", message, seconds=600, field=None)
    return scene.seen()


def node_shutdown(scene: Scene) -> Recorded:
    """Its node was shut down (a spot machine was taken back, for instance)."""
    message = "Pod was terminated in response to imminent node shutdown."
    pod = scene.create_unplayed_pod()
    target = _condition(pod, "DisruptionTarget", "True", "TerminationByKubelet", message)
    ended = _container(_terminated(143, "Error")(pod))
    status = _gone(pod, "Terminated", message, [target])
    _write(scene, status | {"containerStatuses": [ended]})
    return scene.seen()


def refused_by_kubelet(scene: Scene) -> Recorded:
    """The node had no room any more when the pod came to it."""
    counts = "requested: 4000, used: 61500, capacity: 64000"
    message = f"Pod was rejected: Node didn't have enough resource: cpu, {counts}"
    pod = scene.create_unplayed_pod(**resources(cpu="4"))
    _write(scene, {"phase": "Failed", "reason": "OutOfcpu", "message": message, "startTime": _at(pod, 1)})
    _emit(
        scene, pod, "Warning", "OutOfcpu", message.removeprefix("Pod was rejected: "), seconds=1, field=None
    )
    return scene.seen()


def node_not_ready(scene: Scene) -> Recorded:
    """Its node does not answer; the pod may well run, and is not deleted yet."""
    pod = scene.create_unplayed_pod()
    state = _container(_running(pod), is_ready=True)
    status = _status(pod, "Running", [state])
    unready = [c if c["type"] != "Ready" else c | {"status": "False"} for c in status["conditions"]]
    _write(scene, status | {"conditions": unready})
    _started(scene, pod)
    _emit(
        scene,
        pod,
        "Warning",
        "NodeNotReady",
        "Node is not ready",
        seconds=400,
        by="node-controller",
        field=None,
    )
    return scene.seen()


# --- autoscaler ---


def scale_up_triggered(scene: Scene) -> Recorded:
    """No machine has room; the autoscaler starts one."""
    pod = _without_room(scene)
    message = "pod triggered scale-up: [{users 3->4 (max: 10)}]"
    _emit(scene, pod, "Normal", "TriggeredScaleUp", message, seconds=8, by="cluster-autoscaler", field=None)
    return scene.seen()


def scale_up_at_maximum(scene: Scene) -> Recorded:
    """No machine has room, and the autoscaler may not start more."""
    pod = _without_room(scene)
    message = "pod didn't trigger scale-up: 1 max node group size reached"
    _emit(scene, pod, "Normal", "NotTriggerScaleUp", message, seconds=8, by="cluster-autoscaler", field=None)
    return scene.seen()


def scale_up_too_large(scene: Scene) -> Recorded:
    """No machine has room, and no machine that could be started would have it."""
    pod = _without_room(scene)
    message = "pod didn't trigger scale-up: 2 Insufficient memory"
    _emit(scene, pod, "Normal", "NotTriggerScaleUp", message, seconds=8, by="cluster-autoscaler", field=None)
    return scene.seen()


# --- the kubelet's pen ---

INIT_IMAGE = "registry.example.test/prepare:1"


def running_status(pod: Raw) -> dict[str, Any]:
    """The status of a pod whose one container runs."""
    return _status(pod, "Running", [_container(_running(pod), is_ready=True)])


def _pulling() -> str:
    return f'failed to pull and unpack image "{IMAGE}"'


def _image_pull(scene: Scene, cause: str, *, is_first_try: bool = False) -> Recorded:
    pod = scene.create_unplayed_pod()
    back_off = f'Back-off pulling image "{IMAGE}"'
    state = (
        _waiting("ErrImagePull", cause)
        if is_first_try
        else _waiting("ImagePullBackOff", f"{back_off}: ErrImagePull: {cause}")
    )
    _write(scene, _pending(pod, state))
    tries = 1 if is_first_try else 2
    _emit(scene, pod, "Normal", "Pulling", f'Pulling image "{IMAGE}"', seconds=1, count=tries)
    _emit(scene, pod, "Warning", "Failed", f'Failed to pull image "{IMAGE}": {cause}', seconds=2, count=tries)
    _emit(scene, pod, "Warning", "Failed", "Error: ErrImagePull", seconds=2, count=tries)
    if not is_first_try:
        _emit(scene, pod, "Normal", "BackOff", back_off, seconds=3)
        _emit(scene, pod, "Warning", "Failed", "Error: ImagePullBackOff", seconds=3)
    return scene.seen()


def _crash_loop(scene: Scene, how: Callable[[Raw], dict[str, Any]], **spec: Any) -> Recorded:
    pod = scene.create_unplayed_pod(restartPolicy="OnFailure", **spec)
    facts = _facts(pod)
    waiting = _waiting("CrashLoopBackOff", CRASH_BACK_OFF.format(**facts))
    _write(scene, _status(pod, "Running", [_container(waiting, restarts=3, last=how(pod))]))
    _started(scene, pod, count=4)
    text = f"Back-off restarting failed container notebook in pod {facts['name']}_{facts['namespace']}({facts['uid']})"
    _emit(scene, pod, "Warning", "BackOff", text, seconds=70, count=5)
    return scene.seen()


def _ended(scene: Scene, phase: str, how: Callable[[Raw], dict[str, Any]], **spec: Any) -> Recorded:
    pod = scene.create_unplayed_pod(restartPolicy="Never", **spec)
    _write(scene, _status(pod, phase, [_container(how(pod))]))
    _started(scene, pod)
    return scene.seen()


def _volume(scene: Scene, reason: str, message: str, *, by: str = "kubelet") -> Recorded:
    scene.create_claim()
    scene.wait_for_claim("Bound")
    pod = scene.create_unplayed_pod(**with_claim())
    _write(scene, _pending(pod, _waiting("ContainerCreating")))
    text = message.format(volume=scene.claim()["spec"]["volumeName"])
    _emit(scene, pod, "Warning", reason, text, seconds=120, count=4, by=by, field=None)
    return scene.seen()


def _with_init(scene: Scene, **spec: Any) -> Raw:
    init = {"name": "prepare", "image": INIT_IMAGE}
    return scene.create_unplayed_pod(**{"restartPolicy": "Never", "initContainers": [init]} | spec)


def _without_room(scene: Scene) -> Raw:
    scene.create_pod(**resources(memory="512Gi"))
    scene.wait_for_event("FailedScheduling")
    return scene.pod()


def _facts(pod: Raw) -> dict[str, str]:
    return {fact: pod["metadata"][fact] for fact in ("name", "namespace", "uid")}


def _at(pod: Raw, seconds: int) -> str:
    """That many seconds after the pod was created."""
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return (created + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _waiting(reason: str, message: str | None = None) -> dict[str, Any]:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def _running(pod: Raw) -> dict[str, Any]:
    return {"running": {"startedAt": _at(pod, 5)}}


def _terminated(code: int, reason: str) -> Callable[[Raw], dict[str, Any]]:
    """How a container ended; called with the pod it gives the state."""

    def state(pod: Raw) -> dict[str, Any]:
        times = {"startedAt": _at(pod, 5), "finishedAt": _at(pod, 65)}
        return {"terminated": {"exitCode": code, "reason": reason, "containerID": CONTAINER_ID} | times}

    return state


def _container(
    state: Raw,
    *,
    name: str = "notebook",
    image: str = IMAGE,
    restarts: int = 0,
    last: Raw | None = None,
    is_ready: bool = False,
) -> dict[str, Any]:
    was_made = "waiting" not in state or last is not None
    return {
        "name": name,
        "image": image,
        "imageID": IMAGE_ID if was_made else "",
        "ready": is_ready,
        "started": "running" in state,
        "restartCount": restarts,
        "state": state,
        "lastState": last or {},
    } | ({"containerID": CONTAINER_ID} if was_made else {})


def _condition(pod: Raw, kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    said = {"reason": reason} if reason else {}
    said |= {"message": message} if message else {}
    return {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": _at(pod, 1),
        "observedGeneration": 1,
    } | said


def _conditions(
    pod: Raw, phase: str, unready: Sequence[str], *, is_initialized: bool = True
) -> list[dict[str, Any]]:
    ready: tuple[str, ...] = ("True",)
    if phase in {"Failed", "Succeeded"}:
        ready = ("False", "PodFailed" if phase == "Failed" else "PodCompleted")
    elif unready:
        ready = ("False", "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    init = (
        ("True",)
        if is_initialized
        else ("False", "ContainersNotInitialized", "containers with incomplete status: [prepare]")
    )
    return [
        _condition(pod, "PodReadyToStartContainers", "True" if phase in {"Pending", "Running"} else "False"),
        _condition(pod, "Initialized", *init),
        _condition(pod, "Ready", *ready),
        _condition(pod, "ContainersReady", *ready),
        _condition(pod, "PodScheduled", "True"),
    ]


def _status(pod: Raw, phase: str, containers: Sequence[Raw]) -> dict[str, Any]:
    unready = [one["name"] for one in containers if not one["ready"]]
    return {
        "phase": phase,
        "conditions": _conditions(pod, phase, unready),
        "containerStatuses": list(containers),
        "hostIP": NODE_ADDRESS,
        "hostIPs": [{"ip": NODE_ADDRESS}],
        "podIP": POD_ADDRESS,
        "podIPs": [{"ip": POD_ADDRESS}],
        "startTime": _at(pod, 1),
        "observedGeneration": 1,
    }


def _pending(pod: Raw, state: Raw) -> dict[str, Any]:
    return _status(pod, "Pending", [_container(state)])


def _initializing(pod: Raw, init: Raw, *, phase: str = "Pending") -> dict[str, Any]:
    status = _status(pod, phase, [_container(_waiting("PodInitializing"))])
    conditions = _conditions(pod, phase, ["notebook"], is_initialized=False)
    return status | {"conditions": conditions, "initContainerStatuses": [init]}


def _gone(pod: Raw, reason: str, message: str, more_conditions: Sequence[Raw]) -> dict[str, Any]:
    """A pod that its node has ended, with no container to tell of."""
    return {
        "phase": "Failed",
        "reason": reason,
        "message": message,
        "conditions": [*more_conditions, *_conditions(pod, "Failed", [])],
        "startTime": _at(pod, 1),
        "observedGeneration": 1,
    }


def _write(scene: Scene, status: Raw) -> None:
    scene.admin.patch(f"{scene.core}/pods/{POD}/status", {"status": status})


def _pulled(scene: Scene, pod: Raw) -> None:
    message = f'Container image "{IMAGE}" already present on machine and can be accessed by the pod'
    _emit(scene, pod, "Normal", "Pulled", message, seconds=3)


def _started(scene: Scene, pod: Raw, *, count: int = 1) -> None:
    _pulled(scene, pod)
    _emit(scene, pod, "Normal", "Created", "Container created", seconds=4, count=count)
    _emit(scene, pod, "Normal", "Started", "Container started", seconds=5, count=count)


def _emit(
    scene: Scene,
    pod: Raw,
    kind: str,
    reason: str,
    message: str,
    *,
    seconds: int,
    count: int = 1,
    by: str = "kubelet",
    field: str | None = "spec.containers{notebook}",
) -> None:
    """Post an event about a pod, seconds after it was created, and again every 20 seconds if counted."""
    about = _facts(pod) | {
        "apiVersion": "v1",
        "kind": "Pod",
        "resourceVersion": pod["metadata"]["resourceVersion"],
    }
    host = {"host": UNPLAYED_NODE} if by == "kubelet" else {}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{POD}.{secrets.token_hex(8)}", "namespace": scene.namespace},
        "involvedObject": about | ({"fieldPath": field} if field else {}),
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": by} | host,
        "reportingComponent": by,
        "reportingInstance": host.get("host", ""),
        "firstTimestamp": _at(pod, seconds),
        "lastTimestamp": _at(pod, seconds + 20 * (count - 1)),
        "count": count,
    }
    scene.admin.create(f"{scene.core}/events", event)


KUBELET_SITUATIONS = (
    image_not_found,
    image_not_found_first_try,
    image_denied_or_missing,
    image_unauthorized,
    image_forbidden,
    image_registry_away,
    image_too_many_requests,
    image_name_invalid,
    image_never_pulled,
    image_being_pulled,
    crash_loop,
    crash_loop_out_of_memory,
    restarted_out_of_memory,
    out_of_memory,
    ended_with_error,
    ended_by_signal,
    completed,
    command_not_found,
    secret_missing,
    container_creating,
    init_running,
    init_failed,
    init_crash_loop,
    sandbox_failed,
    mount_failed,
    mount_timed_out,
    mount_config_map_missing,
    attach_multi,
    attach_multi_node_lost,
    attach_failed,
    evicted,
    evicted_disk,
    node_shutdown,
    refused_by_kubelet,
    node_not_ready,
    scale_up_triggered,
    scale_up_at_maximum,
    scale_up_too_large,
)
