"""Rules about the end of the server's container, which the kubelet may restart, and of the pod, which is final."""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.messages import AGAIN, CONTACT, format_amount, format_quantity
from k8s_hub.diagnosis.observation import (
    Observation,
    is_of_container,
    last_seen,
    message_of,
    parse_time,
)
from k8s_hub.diagnosis.obstacles import vanished_pod
from k8s_hub.diagnosis.pod_life import (
    RESTART_LIMIT,
    Alive,
    Ended,
    judge_pod,
    last_exit,
    notebook_name,
    notebook_status,
    restarts,
    state_of,
)
from k8s_hub.diagnosis.runtime import runtime_words
from k8s_hub.objects import quantities
from k8s_hub.objects.keys import key_of, spec_of, status_of
from k8s_hub.objects.raw import Raw

_OUT_OF_MEMORY = "OOMKilled"
# runc's and CRI-O's, of a limit in which not even their own first step has room.
_NO_MEMORY_TO_BEGIN = re.compile(r"memory limit (?:\d+ )?too low")
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
_NO_ANSWER = "its machine stopped responding"
_SHUT_DOWN = "its machine was shut down"
_MADE_ROOM = "the cluster needed its place for something more important"
_ENDS_FOR_USERS = {
    "DeadlineExceeded": "it reached the longest time that its settings allow",
    "Deleted": "it was deleted from the cluster",
    "DeletionByPodGC": "its machine was removed",
    "DeletionByTaintManager": _NO_ANSWER,
    "Evicted": "its machine ran short of memory or disk space",
    "EvictionByEvictionAPI": "the cluster needed to empty its machine, for example for maintenance",
    "NodeLost": _NO_ANSWER,
    "NodeShutdown": _SHUT_DOWN,
    "Preempting": _MADE_ROOM,
    "PreemptionByKubeScheduler": _MADE_ROOM,
    "PreemptionByScheduler": _MADE_ROOM,
    "Shutdown": _SHUT_DOWN,
    "Terminated": _SHUT_DOWN,
    "TerminationByKubelet": "its machine was shut down or ran short of resources",
}
# What the kubelet says when a pod has written more than it may, in all, in one container, or into one volume.
_OWN_DISK_LIMITS = (
    re.compile(r"local storage usage exceeds the total limit of containers (?P<limit>\w+)"),
    re.compile(r'exceeded its local ephemeral storage limit "(?P<limit>\w+)"'),
    re.compile(r'Usage of EmptyDir volume "(?P<volume>[^"]+)" exceeds the limit "(?P<limit>\w+)"'),
)
_NO_ROOM = re.compile(
    r"enough resource: (?P<resource>\S+), requested: (?P<requested>\d+), used: \d+, capacity: (?P<capacity>\d+)"
)
_NOT_WHOLE_CORES = re.compile(r"requested (?P<cpus>\d+) cpus not multiple cpus per core = (?P<step>\d+)")
# Reasons of refusals that another try may not meet: a new node may have got its labels after the pod, and another node
# may have its free CPUs and devices close together.
_PERHAPS_NOT_AGAIN = {
    "NodeAffinity": "Your server came to a machine that is not of the kind it asks for",
    "TopologyAffinityError": "The machine that was found for your server could not give it CPUs and devices close together",
}
# Reasons for which a kubelet refuses a pod each time: the pod asks for what this node never is or does.
_NEVER_HERE = frozenset(
    {
        "NodeName",
        "AppArmor",
        "SysctlForbidden",
        "PodOSNotSupported",
        "PodOSSelectorNodeLabelDoesNotMatch",
        "PodFeatureUnsupported",
        "UnsupportedPodSpec",
    }
)
_KILLED_FOR_PROBE = re.compile(r"^Container (?P<container>\S+) failed (?P<probe>startup|liveness) probe")
_PROBE_FAILED = re.compile(r"^(?P<probe>Startup|Liveness) probe (?:failed|errored)")
_HOOK_FAILED = re.compile(r' for Container "(?P<container>[a-z0-9-]+)" in Pod "')
_TOLD_TO_END = (137, 143)


def out_of_memory(seen: Observation) -> Diagnosis | None:
    """The server ran out of memory while starting. It would do so at every start."""
    container = notebook_status(seen.pod or {}) or {}
    if state_of(container, "running"):
        return None
    limit = _memory_limit(seen.pod or {})
    words = _too_little_to_begin(seen, container)
    if not words and last_exit(container).get("reason") != _OUT_OF_MEMORY:
        return None
    if words or limit:
        sentence = (
            f"Your server needed more memory than its limit{f' of {limit}' if limit else ''}, so the cluster stopped it. "
            "Choose a larger server, or ask your administrator for more memory."
        )
    else:
        sentence = (
            f"The machine of your server ran out of memory, so the cluster stopped your server. {AGAIN}"
        )
    return Diagnosis.failed(
        Stage.STARTING,
        Reason.OUT_OF_MEMORY,
        sentence,
        detail=exit_detail(container) if last_exit(container) else words,
    )


def _too_little_to_begin(seen: Observation, container: Raw) -> str:
    """Return the runtime's words about a memory limit in which nothing begins, of the container or the whole pod."""
    if _NO_MEMORY_TO_BEGIN.search(words := runtime_words(container)):
        return words
    reasons = ("FailedCreatePodSandBox", "FailedCreatePodSandbox")
    events = seen.unsolved(*reasons, matching=_NO_MEMORY_TO_BEGIN)
    return message_of(events[-1]) if events else ""


def pod_ended(seen: Observation) -> Diagnosis | None:
    """The pod ended and will not run."""
    if seen.pod is None:
        return None
    match life := judge_pod(seen.pod):
        case Alive():
            return None
        case Ended():
            return _ended(seen, seen.pod, life)
        case _:
            assert_never(life)


def server_crashes_on(seen: Observation) -> Diagnosis | None:
    """The server has failed too often during this start.

    A kubelet shows CrashLoopBackOff only near the end of the back-off, a minute later; until then the container is
    terminated.
    """
    container = notebook_status(seen.pod or {})
    if container is None or restarts(seen.pod or {}) < RESTART_LIMIT:
        return None
    ended = state_of(container, "terminated")
    return _crashed(seen, ended) if ended.get("exitCode") else None


def server_restarts(seen: Observation) -> Diagnosis | None:
    """The server has failed, and the kubelet restarts it."""
    if seen.pod is None:
        return None
    life, container = judge_pod(seen.pod), notebook_status(seen.pod) or {}
    if not isinstance(life, Alive) or not (life.restarting or is_waiting_for_hook(container)):
        return None
    stop = _stopped_by_kubelet(seen)
    if stop is None:
        return tried_again(seen.pod)
    return Diagnosis.waiting(
        Stage.STARTING,
        f"{stop.sentence}. The cluster is starting it again.",
        reason=stop.reason,
        detail=stop.detail,
        expired=f"{stop.sentence}. {stop.advice}",
    )


def tried_again(pod: Raw) -> Diagnosis:
    """Return the diagnosis of a server that ended by itself and is restarted."""
    container = notebook_status(pod) or {}
    if words := runtime_words(container):
        return not_created("your server", words)
    ended = f"Your server stopped while it was starting (exit code {last_exit(container).get('exitCode')})"
    return Diagnosis.waiting(
        Stage.STARTING,
        f"{ended}. The cluster is starting it again.",
        reason=Reason.CRASH,
        detail=exit_detail(container),
        expired=f"{ended}, and was not ready within {{waited}}. {_READ_LOG}",
    )


def not_created(container: str, words: str) -> Diagnosis:
    """Return the diagnosis of a container that the runtime could not create or run, and retries."""
    return Diagnosis.waiting(
        Stage.STARTING,
        f"The machine could not start {container}. It is trying again.",
        reason=Reason.CRASH,
        detail=words,
        expired=f"The machine could not start {container} within {{waited}}. {AGAIN}",
    )


def end_for_user(pod: Raw, life: Ended) -> str:
    """Return why a running server ended, for its user: completes "Your last server ended at 3:12 PM: ..."."""
    if life.reason == _OUT_OF_MEMORY:
        limit = _memory_limit(pod)
        return (
            f"it needed more memory than its limit of {limit}" if limit else "its machine ran out of memory"
        )
    if used := _disk_limit(life):
        return f"it used more than its limit of {used}"
    if life.reason in _ENDS_FOR_USERS:
        return _ENDS_FOR_USERS[life.reason]
    return f"it crashed (exit code {life.code})" if life.code else "it shut down by itself"


def ended_at(pod: Raw) -> datetime | None:
    """Return when the server's container ended; None if its status does not say."""
    container = notebook_status(pod) or {}
    if state_of(container, "running"):
        return None  # the last exit was before a restart
    finished = last_exit(container).get("finishedAt")
    return parse_time(finished) if finished else None


def tries_in_words(container: Raw) -> str:
    """Return how often a container was tried, if more than once."""
    restarts = int(container.get("restartCount") or 0)
    return f" {restarts + 1} times in a row" if restarts else ""


def exit_detail(container: Raw) -> str:
    """Return the last exit for the log, without the message of a program that ran: it may be the program's output."""
    exit_, words = last_exit(container), runtime_words(container)
    return (
        f"container {container.get('name')}: {exit_.get('reason') or 'Error'}, "
        f"exit code {exit_.get('exitCode')}, {container.get('restartCount') or 0} restarts"
    ) + (f": {words}" if words else "")


def _ended(seen: Observation, pod: Raw, life: Ended) -> Diagnosis:
    if life.reason in _EVICTIONS:
        return _evicted(pod, life)
    if life.reason == "Deleted":
        return vanished_pod(pod)
    if life.reason == "DeadlineExceeded":
        return _failed_pod(
            pod,
            life,
            Reason.DEADLINE,
            "Your server was not ready in the time that its settings allow (activeDeadlineSeconds), "
            f"so the cluster stopped it. {AGAIN}",
        )
    if _is_refused(pod, life):
        return _failed_pod(pod, life, Reason.EVICTED, _refusal_in_words(life))
    if life.code == 0 and _stopped_by_kubelet(seen) is None:
        return _failed_pod(
            pod,
            life,
            Reason.EXITED,
            "Your server ended by itself while it was starting (exit code 0). Its image may not be made for JupyterHub. "
            "Choose another image, or contact your administrator.",
        )
    return _crashed(seen, {"reason": life.reason, "exitCode": life.code})


def _evicted(pod: Raw, life: Ended) -> Diagnosis:
    if used := _disk_limit(life):
        return _failed_pod(
            pod,
            life,
            Reason.EVICTED,
            f"Your server used more than its limit of {used}, "
            "so the cluster stopped it. Choose a larger server, or contact your administrator.",
        )
    return _failed_pod(
        pod,
        life,
        Reason.EVICTED,
        "Your server was evicted while it was starting. Start it again.",
    )


def _disk_limit(life: Ended) -> str:
    """Return the limit of temporary disk space that an evicted server has exceeded; empty if it did not."""
    for pattern in _OWN_DISK_LIMITS:
        if found := pattern.search(life.message):
            volume = found.groupdict().get("volume")
            where = f' on its volume "{volume}"' if volume else ""
            return f"{_size(found['limit'])} of temporary disk space{where}"
    return ""


def _is_refused(pod: Raw, life: Ended) -> bool:
    """True if the kubelet refused the pod (OutOfcpu, NodeAffinity, ...) or never started its server."""
    has_run = bool(last_exit(notebook_status(pod) or {}))
    return life.code != 0 and (_is_of_pod(pod, life) or not has_run)


def _is_of_pod(pod: Raw, life: Ended) -> bool:
    """True if the pod itself has the reason for its end, not one of its containers."""
    return life.reason in {status_of(pod).get("reason"), *_EVICTIONS}


def _refusal_in_words(life: Ended) -> str:
    """Return why. Do not advise a restart if such a node can never run the server."""
    if (found := _NO_ROOM.search(life.message)) and int(found["requested"]) > int(found["capacity"]):
        # The kubelet counts CPUs in thousandths.
        unit = Decimal(1000 if found["resource"] == "cpu" else 1)
        resource, requested, capacity = (
            found["resource"],
            Decimal(found["requested"]),
            Decimal(found["capacity"]),
        )
        return (
            f"Your server needs {format_amount(resource, requested / unit)}, but its machine has only "
            f"{format_quantity(resource, capacity / unit)}. Choose a smaller server, or contact your administrator."
        )
    if found := _NOT_WHOLE_CORES.search(life.message):
        return (
            f"Your server asks for {format_amount('cpu', Decimal(found['cpus']))}, but its machine gives CPUs "
            f"in multiples of {found['step']}. Choose another number of CPUs, or contact your administrator."
        )
    if life.reason in _PERHAPS_NOT_AGAIN:
        return f"{_PERHAPS_NOT_AGAIN[life.reason]}. {AGAIN}"
    if life.reason in _NEVER_HERE:
        return (
            "Your server came to a machine that is not of the kind it asks for. "
            "Choose another kind of server, or contact your administrator."
        )
    return "The machine that was found for your server refused it. Start it again."


def _failed_pod(pod: Raw, life: Ended, reason: Reason, sentence: str) -> Diagnosis:
    """Diagnose a failed pod. Its message is Kubernetes' own; a container's message may be the program's output."""
    words = f": {life.message}" if life.message and _is_of_pod(pod, life) else ""
    return Diagnosis.failed(
        Stage.STARTING,
        reason,
        sentence,
        detail=f"pod {key_of(pod)} ended: {life.reason}, exit code {life.code}{words}",
    )


def _crashed(seen: Observation, ended: Raw) -> Diagnosis:
    pod = seen.pod or {}
    container = notebook_status(pod) or {}
    tries = tries_in_words(container)
    how = f"{ended.get('reason') or 'Error'}, exit code {ended['exitCode']}"
    if stop := _stopped_by_kubelet(seen):
        return Diagnosis.failed(
            Stage.STARTING,
            stop.reason,
            f"{stop.sentence}{',' if tries else ''}{tries}. {stop.advice}",
            detail=f"pod {key_of(pod)} ended: {how}: {stop.detail}",
        )
    if words := runtime_words(container):
        return Diagnosis.failed(
            Stage.STARTING,
            Reason.CRASH,
            f"The machine could not start your server{tries} (exit code {ended['exitCode']}). {CONTACT}",
            detail=f"pod {key_of(pod)} ended: {how}: {words}",
        )
    return Diagnosis.failed(
        Stage.STARTING,
        Reason.CRASH,
        f"Your server crashed{tries} while it was starting (exit code {ended['exitCode']}). {_READ_LOG}",
        detail=f"pod {key_of(pod)} ended: {how}",
    )


_READ_LOG = "Its log shows why; ask your administrator to read it."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stop:
    """Why the kubelet stopped the server, which is not in the server's own log."""

    reason: Reason
    #: Without a full stop.
    sentence: str
    advice: str
    detail: str


def _stopped_by_kubelet(seen: Observation) -> _Stop | None:
    """Return why the kubelet stopped the last try of the server: a failed hook or probe; None if it did not."""
    container = notebook_status(seen.pod or {})
    if container is None:
        return None
    return _failed_hook(seen, container) or _failed_probe(seen, container)


def _failed_hook(seen: Observation, container: Raw) -> _Stop | None:
    hooks = _since_last_try(seen, container, "FailedPostStartHook", naming=_HOOK_FAILED)
    if not hooks and not is_waiting_for_hook(container):
        return None
    return _Stop(
        reason=Reason.POST_START,
        sentence="The startup command (postStart hook) of your server failed, so the cluster stopped your server",
        advice="Contact your administrator, who set up this command.",
        detail=message_of(hooks[-1]) if hooks else message_of(state_of(container, "waiting")),
    )


def _failed_probe(seen: Observation, container: Raw) -> _Stop | None:
    ends = _since_last_try(seen, container, "Killing", naming=_KILLED_FOR_PROBE)
    found = [match for event in ends if (match := _KILLED_FOR_PROBE.search(message_of(event)))]
    unhealthy = _since_last_try(seen, container, "Unhealthy")
    if not found and last_exit(container).get("exitCode") in _TOLD_TO_END:
        found = [match for event in unhealthy if (match := _PROBE_FAILED.search(message_of(event)))]
    if not found:
        return None
    return _Stop(
        reason=Reason.PROBE,
        sentence=f"Your server did not pass the cluster's health check ({found[-1]['probe'].lower()} probe) in time, "
        "so the cluster stopped it",
        advice=f"It may need more time to start than the check allows. {CONTACT}",
        detail="; ".join([found[-1].string, *(message_of(event) for event in unhealthy[-1:])]),
    )


def is_waiting_for_hook(container: Raw) -> bool:
    """True if a postStart hook has failed. The kubelet shows this until it restarts the container."""
    return state_of(container, "waiting").get("reason") == "PostStartHookError"


def _since_last_try(
    seen: Observation, container: Raw, reason: str, naming: re.Pattern[str] | None = None
) -> list[Raw]:
    """Return the events about a container since its last try began; all events if that time is unknown.

    Some kubelets name the container only in the message: ``naming`` finds it there.
    """
    begin, name = parse_time(last_exit(container).get("startedAt")), str(container.get("name"))
    found = []
    for event in seen.pod_events(reason):
        named = naming.search(message_of(event)) if naming else None
        is_its = is_of_container(event, name) and (named is None or named["container"] == name)
        if is_its and last_seen(event) >= begin:
            found.append(event)
    return found


def _size(limit: str) -> str:
    try:
        return format_amount("memory", quantities.parse(limit)).removesuffix(" of memory")
    except ValueError:
        return limit


def _memory_limit(pod: Raw) -> str:
    """Return the limit of the server's container, or else of the whole pod."""
    spec, name = spec_of(pod), notebook_name(pod)
    own: Raw = next((each for each in spec.get("containers") or () if each.get("name") == name), {})
    for limited in (own, spec):
        if limit := ((limited.get("resources") or {}).get("limits") or {}).get("memory"):
            return _size(limit)
    return ""


RULES = (pod_ended, server_crashes_on)
