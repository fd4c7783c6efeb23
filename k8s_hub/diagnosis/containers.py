"""Rules about containers on their machine: set-up, steps before the server, crashes, and ends."""

import re
from typing import assert_never

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.observation import Observation, first_seen, words_of
from k8s_hub.diagnosis.obstacles import vanished_pod
from k8s_hub.diagnosis.pod_life import (
    RESTART_LIMIT,
    Alive,
    Ended,
    is_crash_looping,
    is_on_lost_node,
    is_ready_to_serve,
    judge_pod,
    last_exit,
    notebook_name,
    notebook_status,
    restarts,
    state_of,
)
from k8s_hub.diagnosis.sentences import amount
from k8s_hub.diagnosis.storage import missing_object
from k8s_hub.objects import quantities
from k8s_hub.objects.keys import key_of
from k8s_hub.objects.raw import Raw

_OUT_OF_MEMORY = "OOMKilled"
# Reasons of the kubelet and of the pod's DisruptionTarget condition: the cluster took the place away.
_EVICTIONS = frozenset(
    {
        "Evicted",
        "EvictionByEvictionAPI",
        "Preempting",
        "PreemptionByScheduler",
        "PreemptionByKubeScheduler",
        "DeletionByTaintManager",
        "DeletionByPodGC",
        "TerminationByKubelet",
        "NodeShutdown",
        "Terminated",
        "Shutdown",
        "NodeLost",
    }
)
# Reasons of a failed start of the process, whose message is the runtime's and not the program's.
_NOT_STARTED = ("StartError", "ContainerCannotRun", "RunContainerError")
_NO_PROGRAM = re.compile(r'exec: "(?P<program>[^"]+)": (?:executable file not found|stat \S+ no such file)')
_NAMED_USER = re.compile(r"image has non-numeric user \((?P<user>[^)]*)\)")
_MISSING = re.compile(
    r'(?P<object>(?:secret|configmap) "[^"]+") not found'
    r"|couldn't find (?P<key>key \S+ in (?:Secret|ConfigMap) \S+)",
    re.IGNORECASE,
)

_RUNS = "Your server is running and will answer soon."


def server_is_ready(seen: Observation) -> Diagnosis | None:
    """Nothing is wrong any more, whatever went wrong on the way."""
    return up() if is_ready_to_serve(seen.pod) else None


def up() -> Diagnosis:
    """The server may be handed to its user."""
    return Diagnosis.waiting(Stage.RUNNING, _RUNS)


def out_of_memory(seen: Observation) -> Diagnosis | None:
    """A server that is too large for its limit at start is so at every start."""
    container = notebook_status(seen.pod or {})
    if container is None or state_of(container, "running"):
        return None
    if last_exit(container).get("reason") != _OUT_OF_MEMORY:
        return None
    limit = _memory_limit(seen)
    return Diagnosis.failed(
        Stage.STARTING,
        Reason.OUT_OF_MEMORY,
        f"Your server needs more memory than its limit{f' of {limit}' if limit else ''} and was stopped. "
        "Please choose a larger server, or ask your administrator for more memory.",
        detail=_exit_detail(container),
    )


def program_missing(seen: Observation) -> Diagnosis | None:
    """The image has no such program; the most frequent trouble of an image that is not made for a hub."""
    for container in seen.containers:
        if (found := _NO_PROGRAM.search(_runtime_words(container))) is None:
            continue
        return Diagnosis.failed(
            Stage.STARTING,
            Reason.COMMAND,
            f'The image "{seen.image_of(container)}" has no program "{found["program"]}". '
            "Please choose an image that is made for JupyterHub.",
            detail=_runtime_words(container),
        )
    return None


def server_crashes_on(seen: Observation) -> Diagnosis | None:
    """It has ended too often for one start.

    A kubelet shows CrashLoopBackOff only near the end of the back-off, a minute later; until then the container is
    terminated.
    """
    container = notebook_status(seen.pod or {})
    if container is None or restarts(seen.pod or {}) < RESTART_LIMIT:
        return None
    ended = state_of(container, "terminated")
    return _crashed(seen.pod or {}, ended, container) if ended.get("exitCode") else None


def pod_ended(seen: Observation) -> Diagnosis | None:
    """The pod will not come to run."""
    if seen.pod is None:
        return None
    match life := judge_pod(seen.pod):
        case Alive():
            return None
        case Ended():
            return _ended(seen.pod, life)
        case _:
            assert_never(life)


def step_fails(seen: Observation) -> Diagnosis | None:
    """A step before the server has failed for good; the server never gets its turn."""
    for container in seen.status.get("initContainerStatuses") or ():
        has_failed = bool(state_of(container, "terminated").get("exitCode"))
        if is_crash_looping(container) or (has_failed and seen.status.get("phase") == "Failed"):
            return Diagnosis.failed(
                Stage.STARTING,
                Reason.CRASH,
                f'The step "{container["name"]}" that prepares your server failed '
                f"(exit code {last_exit(container).get('exitCode')}){_tries(container)}. "
                "Please tell your administrator.",
                detail=_exit_detail(container),
            )
    return None


def object_missing(seen: Observation) -> Diagnosis | None:
    """The environment is to be filled from a Secret or ConfigMap, or a key of it, that is not there."""
    if (container := seen.waiting("CreateContainerConfigError")) is None:
        return None
    message = state_of(container, "waiting").get("message") or ""
    if (found := _MISSING.search(message)) is None:
        return None
    since = seen.pod_events("Failed", matching=re.compile(re.escape(message)))
    lasting = seen.lasting(first_seen(since[0]) if since else seen.since("PodScheduled"))
    return missing_object(seen, found["object"] or found["key"], message, lasting)


def root_not_allowed(seen: Observation) -> Diagnosis | None:
    """The pod may not run as root, and its image does, or does not say by number that it does not."""
    if (container := seen.waiting("CreateContainerConfigError")) is None:
        return None
    message = state_of(container, "waiting").get("message") or ""
    if "runAsNonRoot" not in message and "non-root policy" not in message:
        return None
    image = seen.image_of(container)
    if found := _NAMED_USER.search(message):
        sentence = (
            f'The image "{image}" names its user "{found["user"]}" and not by number, so that the cluster cannot '
            "tell whether that is root, which is not allowed here."
        )
    elif "non-root policy" in message:
        sentence = f'The settings of your server run "{image}" as root, which is not allowed here.'
    else:
        sentence = f'The image "{image}" wants to run as root, which is not allowed here.'
    return Diagnosis.failed(
        Stage.STARTING,
        Reason.POLICY,
        f"{sentence} Please choose another image, or tell your administrator.",
        detail=message,
    )


def server_restarts(seen: Observation) -> Diagnosis | None:
    """The server has failed, and has tries left."""
    if seen.pod is None:
        return None
    life = judge_pod(seen.pod)
    return _tried_again(seen.pod) if isinstance(life, Alive) and life.restarting else None


def server_silent(pod: Raw, words: str) -> Diagnosis:
    """The container runs, perhaps not for the first time, and its server does not answer, as the words say."""
    if restarts(pod):
        return _tried_again(pod)
    return Diagnosis.waiting(
        Stage.RUNNING,
        _RUNS,
        reason=Reason.NO_ANSWER,
        detail=f"pod {key_of(pod)}: {words}",
        missed="it did not",
    )


def container_not_created(seen: Observation) -> Diagnosis | None:
    """The runtime could not create or run a container, and tries again."""
    if (
        container := seen.waiting("CreateContainerError", "CreateContainerConfigError", "RunContainerError")
    ) is None:
        return None
    return Diagnosis.waiting(
        Stage.STARTING,
        "The machine could not start your server and tries again.",
        reason=Reason.CRASH,
        detail=state_of(container, "waiting").get("message") or "",
        lasting=seen.lasting(seen.since("PodScheduled")),
        missed="it did not succeed",
    )


def machine_silent(seen: Observation) -> Diagnosis | None:
    """The machine of the pod has stopped answering. Unknown is not dead: it may come back."""
    if seen.pod is None or not (is_on_lost_node(seen.pod) or seen.unsolved("NodeNotReady")):
        return None
    return Diagnosis.waiting(
        Stage.STARTING,
        "The machine that your server was given does not answer at the moment.",
        reason=Reason.NODE_LOST,
        detail=f"node {seen.spec.get('nodeName')}: {seen.status.get('message') or 'not ready'}",
        missed="it did not come back",
    )


def sandbox_fails(seen: Observation) -> Diagnosis | None:
    """The machine cannot make the pod's network, for instance for want of addresses, and tries again."""
    events = seen.unsolved("FailedCreatePodSandBox", "NetworkNotReady")
    if not events:
        return None
    return Diagnosis.waiting(
        Stage.STARTING,
        "The machine cannot set up the network of your server yet and tries again.",
        reason=Reason.SANDBOX,
        detail=words_of(events[-1]),
        lasting=seen.lasting(first_seen(events[0])),
        missed="it did not succeed",
    )


def step_runs(seen: Observation) -> Diagnosis | None:
    """A step before the server is at work."""
    sidecars = {
        c["name"] for c in seen.spec.get("initContainers") or () if c.get("restartPolicy") == "Always"
    }
    for container in seen.status.get("initContainerStatuses") or ():
        if state_of(container, "running") and container["name"] not in sidecars:
            return Diagnosis.waiting(
                Stage.STARTING,
                f'The step "{container["name"]}" prepares your server.',
                lasting=seen.lasting(seen.since("PodScheduled")),
                missed="it was not finished",
            )
    return None


def server_runs(seen: Observation) -> Diagnosis | None:
    """The process is there and does not answer yet."""
    container = notebook_status(seen.pod or {})
    if container is None or not state_of(container, "running"):
        return None
    return Diagnosis.waiting(
        Stage.RUNNING,
        _RUNS,
        lasting=seen.lasting(seen.since("PodScheduled")),
        missed="it did not answer",
    )


def machine_sets_up(seen: Observation) -> Diagnosis | None:
    """The pod has its machine; volumes, network and containers follow."""
    if not seen.spec.get("nodeName"):
        return None
    return Diagnosis.waiting(
        Stage.STARTING,
        "A machine is found and sets up your server.",
        detail=f"node {seen.spec['nodeName']}",
        lasting=seen.lasting(seen.since("PodScheduled")),
        missed="it was not ready",
    )


def _ended(pod: Raw, life: Ended) -> Diagnosis:
    detail = f"pod {key_of(pod)} ended: {life.reason}, exit code {life.code}"
    if life.reason in _EVICTIONS:
        return Diagnosis.failed(
            Stage.STARTING,
            Reason.EVICTED,
            "The cluster took the place of your server away while it was starting. Please start it again.",
            detail=f"{detail}: {life.message}",
        )
    if life.reason == "Deleted":
        return vanished_pod(pod)
    if life.code == 0:
        return Diagnosis.failed(
            Stage.STARTING,
            Reason.EXITED,
            "Your server ended by itself while it was starting (exit code 0). "
            "Its image may not be made for JupyterHub.",
            detail=detail,
        )
    if (container := notebook_status(pod)) is None:
        # The kubelet refused the pod (OutOfcpu, NodeAffinity, ...) or could not run it; these words are its own.
        return Diagnosis.failed(
            Stage.STARTING,
            Reason.EVICTED,
            "The machine refused your server after it had been given to it. Please start it again.",
            detail=f"{detail}: {life.message}",
        )
    return _crashed(pod, {"reason": life.reason, "exitCode": life.code}, container)


def _crashed(pod: Raw, ended: Raw, container: Raw) -> Diagnosis:
    how = f"{ended.get('reason') or 'Error'}, exit code {ended['exitCode']}"
    return Diagnosis.failed(
        Stage.STARTING,
        Reason.CRASH,
        f"Your server crashed while it was starting ({how}){_tries(container)}. "
        "Its log says why; your administrator can read it.",
        detail=f"pod {key_of(pod)} ended: {how}",
    )


def _tried_again(pod: Raw) -> Diagnosis:
    container = notebook_status(pod) or {}
    return Diagnosis.waiting(
        Stage.STARTING,
        f"Your server ended while it was starting (exit code {last_exit(container).get('exitCode')}), "
        "and is tried again.",
        reason=Reason.CRASH,
        detail=_exit_detail(container),
        missed="it did not stay up",
    )


def _tries(container: Raw) -> str:
    restarts = int(container.get("restartCount") or 0)
    return f", {restarts + 1} times in a row" if restarts else ""


def _exit_detail(container: Raw) -> str:
    """What the runtime says of the last end; not its message, which may be what the program printed."""
    exit_ = last_exit(container)
    return (
        f"container {container.get('name')}: {exit_.get('reason') or 'Error'}, "
        f"exit code {exit_.get('exitCode')}, {container.get('restartCount') or 0} restarts"
    )


def _runtime_words(container: Raw) -> str:
    states = (state_of(container, "waiting"), last_exit(container))
    return "; ".join(
        str(state["message"])
        for state in states
        if state.get("reason") in _NOT_STARTED and state.get("message")
    )


def _memory_limit(seen: Observation) -> str:
    name = notebook_name(seen.pod or {})
    for container in seen.spec.get("containers") or ():
        limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
        if container.get("name") == name and limit:
            return amount("memory", quantities.parse(limit)).removesuffix(" of memory")
    return ""


END_RULES = (server_is_ready, out_of_memory, program_missing, step_fails, pod_ended, server_crashes_on)
TROUBLE_RULES = (
    object_missing,
    root_not_allowed,
    server_restarts,
    container_not_created,
    machine_silent,
    sandbox_fails,
)
PROGRESS_RULES = (step_runs, server_runs, machine_sets_up)
