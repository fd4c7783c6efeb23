"""Whether a pod is dead: one function for the spawner's poll, diagnosis and reports.

Unknown is never dead. A server has ended only if the kubelet, the API server or a person ended it.

Fields read: ``metadata.deletionTimestamp``; ``spec.restartPolicy``, ``spec.containers[].name`` and their
``restartPolicy``; ``status.phase``, ``reason``, ``message``, ``podIP``, ``conditions``,
``containerStatuses`` and ``initContainerStatuses``. ``projection.project_pod`` keeps all of them.
"""

from dataclasses import dataclass
from typing import Any

from k8s_hub.naming.ownership import NOTEBOOK_CONTAINER
from k8s_hub.objects.keys import is_terminating, spec_of, status_of
from k8s_hub.objects.raw import Raw

#: After so many failures in a row, a container counts as failed for good.
RESTART_LIMIT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The server runs, or may still run."""

    #: True if the notebook container failed and the kubelet restarts it; the other fields are of that failure.
    restarting: bool = False
    code: int = 0
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The server will not run again in this pod."""

    #: The exit code for poll(): 0 if the user shut the server down.
    code: int
    #: Kubernetes' reason: Completed, Error, OOMKilled, Evicted, Deleted, ...
    reason: str
    #: Kubernetes' message. Never log it: it may quote the program's output.
    message: str = ""


PodLife = Alive | Ended


def judge_pod(pod: Raw) -> PodLife:
    """Return whether the pod's server is alive. Callers handle a missing pod."""
    if is_terminating(pod):
        return _deleted(pod)
    status = status_of(pod)
    if status.get("phase") == "Failed":
        return _failed(pod)
    if status.get("phase") == "Succeeded":
        return Ended(code=0, reason="Completed")
    return _judge_notebook(pod)


def is_ready_to_serve(pod: Raw | None) -> bool:
    """True if the pod's server is ready for its user.

    As in KubeSpawner, the pod runs, has an address, is not being deleted, and its containers are ready (without a readiness
    probe, a running container is). Unlike there, a sidecar that has ended or crashes does not block the server, and a
    server on an unresponsive node is not ready.
    """
    if pod is None or is_terminating(pod):
        return False
    status = status_of(pod)
    if status.get("phase") != "Running" or not status.get("podIP") or is_on_lost_node(pod):
        return False
    notebook = notebook_status(pod)
    return notebook is not None and all(
        container.get("ready") or (container is not notebook and is_out(container))
        for container in status["containerStatuses"]
    )


def end_in_words(pod: Raw, ended: Ended) -> str:
    """Describe the end of a server for the log, without messages that may be the program's output."""
    status = status_of(pod)
    words = ended.message if status.get("reason") or is_terminating(pod) else ""
    return f"{ended.reason}, exit code {ended.code}" + (f": {words.strip()}" if words else "")


def restarts(pod: Raw) -> int:
    """Return how often the kubelet has restarted the server's container."""
    return int((notebook_status(pod) or {}).get("restartCount") or 0)


def is_on_lost_node(pod: Raw) -> bool:
    """True if the control plane, not the kubelet, wrote the pod's last condition.

    For a node that does not answer, the node controller sets Ready to False, without a reason, and leaves
    ContainersReady as the kubelet left it; after some minutes the taint manager adds a condition of its own.
    """
    status = status_of(pod)
    conditions = {condition.get("type"): condition for condition in status.get("conditions") or ()}
    ready, containers = conditions.get("Ready") or {}, conditions.get("ContainersReady") or {}
    return (
        status.get("reason") == "NodeLost"
        or (conditions.get("DisruptionTarget") or {}).get("reason") == "DeletionByTaintManager"
        or (ready.get("status") == "False" and not ready.get("reason") and containers.get("status") == "True")
    )


def notebook_name(pod: Raw) -> str:
    """Return the name of the server's container, else that of the first, from the spec: the kubelet sorts statuses by name."""
    names = [container["name"] for container in spec_of(pod).get("containers") or ()]
    return NOTEBOOK_CONTAINER if NOTEBOOK_CONTAINER in names or not names else names[0]


def notebook_status(pod: Raw) -> Raw | None:
    """Return the status of the server's container; None before the kubelet writes it."""
    wanted = notebook_name(pod)
    statuses: list[Raw] = status_of(pod).get("containerStatuses") or []
    return next((status for status in statuses if status.get("name") == wanted), None)


def state_of(container: Raw, state: str) -> dict[str, Any]:
    """Return the container's ``waiting``, ``running`` or ``terminated`` state; empty if it is in another state."""
    return dict((container.get("state") or {}).get(state) or {})


def last_exit(container: Raw) -> dict[str, Any]:
    """Return the latest ``terminated`` state; empty if the container never ended."""
    return state_of(container, "terminated") or dict(
        (container.get("lastState") or {}).get("terminated") or {}
    )


def is_crash_looping(container: Raw) -> bool:
    """True if the kubelet delays the container's restart after repeated failures."""
    held_back = state_of(container, "waiting").get("reason") == "CrashLoopBackOff"
    return held_back and int(container.get("restartCount") or 0) >= RESTART_LIMIT


def _judge_notebook(pod: Raw) -> PodLife:
    container = notebook_status(pod)
    if container is None:
        return Alive()
    if ended := state_of(container, "terminated"):
        if ended.get("exitCode") == 0 or not _is_restarted(pod):
            return _ended(ended)
        return _restarting(ended)
    if is_crash_looping(container):
        return _ended(last_exit(container))
    if state_of(container, "waiting") and (ended := last_exit(container)):
        return _restarting(ended)
    return Alive()


def _ended(terminated: Raw) -> Ended:
    return Ended(
        code=int(terminated.get("exitCode", 1)),
        reason=terminated.get("reason") or "Error",
        message=terminated.get("message") or "",
    )


def _restarting(terminated: Raw) -> Alive:
    exit_ = _ended(terminated)
    return Alive(restarting=True, code=exit_.code, reason=exit_.reason, message=exit_.message)


def _is_restarted(pod: Raw) -> bool:
    """True if the kubelet restarts a failed notebook container. The container's own policy overrides the pod's."""
    spec = spec_of(pod)
    wanted = notebook_name(pod)
    own = next(
        (c.get("restartPolicy") for c in spec.get("containers") or () if c.get("name") == wanted), None
    )
    return (own or spec.get("restartPolicy") or "Always") != "Never"


def _failed(pod: Raw) -> Ended:
    """Return the end of a failed pod, which is never restarted.

    The pod's own reason (Evicted, NodeShutdown, OutOfcpu, ...) overrides the exit code: an evicted server may exit with 0,
    but its user did not shut it down.
    """
    status = pod["status"]
    if status.get("reason"):
        return Ended(code=1, reason=status["reason"], message=status.get("message") or "")
    notebook = notebook_status(pod)
    if notebook is not None and (ended := state_of(notebook, "terminated")):
        return _ended(ended)
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    exits = (state_of(container, "terminated") for container in statuses)
    unexplained = Ended(code=1, reason="Failed", message=status.get("message") or "")
    return next((_ended(ended) for ended in exits if ended.get("exitCode")), unexplained)


def _deleted(pod: Raw) -> Ended:
    """Return the end of a deleted pod. Evictions and preemptions have a condition of their own."""
    for condition in status_of(pod).get("conditions") or ():
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return Ended(
                code=1, reason=condition.get("reason") or "Deleted", message=condition.get("message") or ""
            )
    return Ended(code=1, reason="Deleted", message="the pod is being deleted")


def is_out(container: Raw) -> bool:
    """True for a container that has ended or keeps failing. Such a sidecar does not block the server."""
    return bool(state_of(container, "terminated")) or (
        state_of(container, "waiting").get("reason") == "CrashLoopBackOff"
    )
