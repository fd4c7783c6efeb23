"""Is a pod dead? One answer for everybody who asks: the spawner's poll, diagnosis and reports.

Unknown is never dead: only what the kubelet, the API server or a person has decided ends a server.

Fields read: ``metadata.deletionTimestamp``; ``spec.restartPolicy``, ``spec.containers[].name`` and their
``restartPolicy``; ``status.phase``, ``reason``, ``message``, ``podIP``, ``conditions``,
``containerStatuses`` and ``initContainerStatuses``. All are kept by ``projection.project_pod``.
"""

from dataclasses import dataclass
from typing import Any

from k8s_hub.objects.keys import is_dying
from k8s_hub.objects.raw import Raw

#: The server's container; a pod without one of this name serves from its first.
NOTEBOOK = "notebook"
#: A container that failed this often in a row is given up.
RESTART_LIMIT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The server runs, or may still come to run."""

    #: The notebook container failed and the kubelet starts it again; then code, reason and message of that.
    restarting: bool = False
    code: int = 0
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The server will not run again in this pod."""

    #: What poll() answers: 0 if the user shut it down.
    code: int
    #: Kubernetes' word: Completed, Error, OOMKilled, Evicted, Deleted, ...
    reason: str
    #: Kubernetes' sentence; may quote what the program left as its last words, so never for a log.
    message: str = ""


PodLife = Alive | Ended


def judge_pod(pod: Raw) -> PodLife:
    """Decide whether this pod's server lives. A pod that is not there is the caller's matter."""
    if is_dying(pod):
        return _deleted(pod)
    status = pod.get("status") or {}
    if status.get("phase") == "Failed":
        return _failed(pod)
    if status.get("phase") == "Succeeded":
        return Ended(code=0, reason="Completed")
    return _judge_notebook(pod)


def is_ready_to_serve(pod: Raw | None) -> bool:
    """True when the pod's server may be handed to its user.

    Like KubeSpawner: the pod runs, has an address, is not being deleted, and its containers are ready
    (without a readiness probe, a running container is). Unlike it: a side container that has ended or
    crashes again and again holds nobody back, and a server on a machine that does not answer is not ready.
    """
    if pod is None or is_dying(pod):
        return False
    status = pod.get("status") or {}
    if status.get("phase") != "Running" or not status.get("podIP") or is_on_lost_node(pod):
        return False
    notebook = notebook_status(pod)
    return notebook is not None and all(
        container.get("ready") or (container is not notebook and is_out(container))
        for container in status["containerStatuses"]
    )


def end_in_words(pod: Raw, ended: Ended) -> str:
    """Say for the log how a server ended; of the messages only those that are no program's last words."""
    status = pod.get("status") or {}
    words = ended.message if status.get("reason") or is_dying(pod) else ""
    return f"{ended.reason}, exit code {ended.code}" + (f": {words.strip()}" if words else "")


def restarts(pod: Raw) -> int:
    """How often the kubelet has started the server's container again."""
    return int((notebook_status(pod) or {}).get("restartCount") or 0)


def is_on_lost_node(pod: Raw) -> bool:
    """True when the control plane, not the kubelet, had the last word about the pod.

    For a node that does not answer, the node controller sets Ready to False, without a reason, and leaves
    ContainersReady as the kubelet left it; after some minutes the taint manager adds a condition of its own.
    """
    status = pod.get("status") or {}
    conditions = {condition.get("type"): condition for condition in status.get("conditions") or ()}
    ready, containers = conditions.get("Ready") or {}, conditions.get("ContainersReady") or {}
    return (
        status.get("reason") == "NodeLost"
        or (conditions.get("DisruptionTarget") or {}).get("reason") == "DeletionByTaintManager"
        or (ready.get("status") == "False" and not ready.get("reason") and containers.get("status") == "True")
    )


def notebook_name(pod: Raw) -> str:
    """Name the container that is the server; by the spec, because the kubelet sorts statuses by name."""
    names = [container["name"] for container in (pod.get("spec") or {}).get("containers") or ()]
    return NOTEBOOK if NOTEBOOK in names or not names else names[0]


def notebook_status(pod: Raw) -> Raw | None:
    """Return the containerStatus of the server's container, None before the kubelet has written it."""
    wanted = notebook_name(pod)
    statuses: list[Raw] = (pod.get("status") or {}).get("containerStatuses") or []
    return next((status for status in statuses if status.get("name") == wanted), None)


def state_of(container: Raw, state: str) -> dict[str, Any]:
    """Return the container's ``waiting``, ``running`` or ``terminated`` state, empty if it is in another."""
    return dict((container.get("state") or {}).get(state) or {})


def last_exit(container: Raw) -> dict[str, Any]:
    """Return the newest ``terminated`` state that is known, empty if it never ended."""
    return state_of(container, "terminated") or dict(
        (container.get("lastState") or {}).get("terminated") or {}
    )


def is_crash_looping(container: Raw) -> bool:
    """True when the kubelet holds the container back after it has failed too often."""
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
    """True when the kubelet starts a failed notebook container again; a container's own policy goes first."""
    spec = pod.get("spec") or {}
    wanted = notebook_name(pod)
    own = next(
        (c.get("restartPolicy") for c in spec.get("containers") or () if c.get("name") == wanted), None
    )
    return (own or spec.get("restartPolicy") or "Always") != "Never"


def _failed(pod: Raw) -> Ended:
    """Nothing restarts a failed pod, whatever its policy.

    A reason on the pod itself (Evicted, NodeShutdown, OutOfcpu, ...) goes before the exit code: a server
    that an eviction ended politely exits with 0, but its user did not shut it down.
    """
    status = pod["status"]
    if status.get("reason"):
        return Ended(code=1, reason=status["reason"], message=status.get("message") or "")
    notebook = notebook_status(pod)
    if notebook is not None and (ended := state_of(notebook, "terminated")):
        return _ended(ended)
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    exits = (state_of(container, "terminated") for container in statuses)
    return next((_ended(ended) for ended in exits if ended.get("exitCode")), _unexplained(status))


def _unexplained(status: Raw) -> Ended:
    return Ended(code=1, reason="Failed", message=status.get("message") or "")


def _deleted(pod: Raw) -> Ended:
    """Somebody deleted the pod; an eviction or a preemption says so in its own condition."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return Ended(
                code=1, reason=condition.get("reason") or "Deleted", message=condition.get("message") or ""
            )
    return Ended(code=1, reason="Deleted", message="the pod is being deleted")


def is_out(container: Raw) -> bool:
    """True for a container that has ended, or fails again and again; beside a server it holds nobody back."""
    return bool(state_of(container, "terminated")) or (
        state_of(container, "waiting").get("reason") == "CrashLoopBackOff"
    )
