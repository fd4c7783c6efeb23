"""Rules about containers on their node: missing objects, init containers, and the progress of the server."""

import re

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.messages import AGAIN, CONTACT, capitalized
from k8s_hub.diagnosis.observation import (
    Observation,
    Role,
    is_of_container,
    last_seen,
    message_of,
    parse_time,
)
from k8s_hub.diagnosis.pod_life import (
    is_crash_looping,
    is_on_lost_node,
    is_out,
    is_ready_to_serve,
    last_exit,
    notebook_status,
    restarts,
    state_of,
)
from k8s_hub.diagnosis.runtime import sandbox_fails
from k8s_hub.diagnosis.storage import missing_for, missing_object
from k8s_hub.diagnosis.terminations import (
    exit_detail,
    not_created,
    server_restarts,
    tried_again,
    tries_in_words,
)
from k8s_hub.objects.keys import key_of
from k8s_hub.objects.raw import Raw

_NAMED_USER = re.compile(r"image has non-numeric user \((?P<user>[^)]*)\)")
_MISSING = re.compile(
    r'(?P<object>(?:secret|configmap)s? "[^"]+") not found'
    r"|couldn't find (?P<key>key \S+ in (?:Secret|ConfigMap) \S+)",
    re.IGNORECASE,
)

_RUNS = "Your server is running. Waiting for its first response."
_SILENT = f"Your server started but did not respond within {{waited}}. {AGAIN}"


def server_is_ready(seen: Observation) -> Diagnosis | None:
    """The server is ready, whatever went wrong before."""
    return up() if is_ready_to_serve(seen.pod) else None


def up() -> Diagnosis:
    """The server is ready for its user."""
    return Diagnosis.waiting(Stage.RUNNING, _RUNS, expired=_SILENT)


def step_fails(seen: Observation) -> Diagnosis | None:
    """An init container has failed for good, so the server never starts."""
    for container in seen.status.get("initContainerStatuses") or ():
        has_ended = seen.status.get("phase") == "Failed"
        if seen.is_past(container) or (has_ended and seen.role_of(container) is Role.SIDECAR):
            continue  # the pod has ended, and the container with it
        has_failed = bool(state_of(container, "terminated").get("exitCode"))
        if is_crash_looping(container) or (has_failed and has_ended):
            return Diagnosis.failed(
                Stage.STARTING,
                Reason.CRASH,
                f"{capitalized(seen.in_words(container))} failed{tries_in_words(container)} "
                f"(exit code {last_exit(container).get('exitCode')}). {CONTACT}",
                detail=exit_detail(container),
            )
    return None


def object_missing(seen: Observation) -> Diagnosis | None:
    """The environment refers to a Secret or ConfigMap, or a key of it, that does not exist."""
    if (container := seen.waiting("CreateContainerConfigError")) is None:
        return None
    message = message_of(state_of(container, "waiting"))
    if (found := _MISSING.search(message)) is None:
        return None
    since = [event for event in seen.pod_events("Failed") if message in message_of(event)]
    lasting = missing_for(seen, since) if since else seen.lasting(seen.since("PodScheduled"))
    return missing_object(seen, found["object"] or found["key"], message, lasting)


def root_not_allowed(seen: Observation) -> Diagnosis | None:
    """The pod must not run as root, but its image does, or does not name its user by number."""
    if (container := seen.waiting("CreateContainerConfigError")) is None:
        return None
    message = message_of(state_of(container, "waiting"))
    if "runAsNonRoot" not in message and "non-root policy" not in message:
        return None
    is_users = seen.role_of(container) is Role.SERVER
    image = f'image "{seen.image_of(container)}"' + ("" if is_users else f" of {seen.in_words(container)}")
    if found := _NAMED_USER.search(message):
        sentence = (
            f'The {image} gives its user a name ("{found["user"]}") instead of a number. '
            "So the cluster cannot verify that it does not run as root (with all rights)."
        )
    elif "non-root policy" in message:
        sentence = f"The settings of your server run the {image} as root (with all rights). This cluster does not allow that."
    else:
        sentence = f"The {image} runs as root (with all rights). This cluster does not allow that."
    advice = "Choose another image, or contact your administrator." if is_users else CONTACT
    return Diagnosis.failed(Stage.STARTING, Reason.POLICY, f"{sentence} {advice}", detail=message)


def server_silent(pod: Raw, words: str) -> Diagnosis:
    """The container runs, but its server does not answer the probes."""
    if restarts(pod):
        return tried_again(pod)
    return Diagnosis.waiting(
        Stage.RUNNING,
        _RUNS,
        reason=Reason.NO_ANSWER,
        detail=f"pod {key_of(pod)}: {words}",
        expired=_SILENT,
    )


def container_not_created(seen: Observation) -> Diagnosis | None:
    """The runtime could not create or run a container, and retries."""
    if (
        container := seen.waiting("CreateContainerError", "CreateContainerConfigError", "RunContainerError")
    ) is None:
        return None
    return not_created(seen.in_words(container), message_of(state_of(container, "waiting")))


def node_silent(seen: Observation) -> Diagnosis | None:
    """The pod's node has stopped responding. The pod is unknown, not dead: the node may come back."""
    if seen.pod is None or not (is_on_lost_node(seen.pod) or seen.unsolved("NodeNotReady")):
        return None
    return Diagnosis.waiting(
        Stage.STARTING,
        "The machine of your server is not responding.",
        reason=Reason.NODE_LOST,
        detail=f"node {seen.spec.get('nodeName')}: {seen.status.get('message') or 'not ready'}",
        expired=f"The machine of your server stopped responding and did not come back within {{waited}}. {AGAIN}",
    )


def step_runs(seen: Observation) -> Diagnosis | None:
    """An init container is running."""
    for container in seen.status.get("initContainerStatuses") or ():
        if state_of(container, "running") and seen.role_of(container) is Role.STEP:
            step = seen.in_words(container)
            return Diagnosis.waiting(
                Stage.STARTING,
                f"{capitalized(step)} is running.",
                expired=f"{capitalized(step)} did not finish within {{waited}}. {AGAIN}",
            )
    return None


def side_container_starts(seen: Observation) -> Diagnosis | None:
    """A native sidecar runs, but has not passed its startup probe. The server starts after it."""
    for container in seen.status.get("initContainerStatuses") or ():
        if seen.role_of(container) is not Role.SIDECAR or container.get("started") is not False:
            continue
        if not state_of(container, "running") or seen.server_has_turn:
            continue
        return _waits_for_side(
            seen,
            container,
            Stage.STARTING,
            f"{capitalized(seen.in_words(container))} has not started yet. Your server starts after it.",
        )
    return None


def others_not_ready(seen: Observation) -> Diagnosis | None:
    """The server is ready, but another container is not, so the pod is not ready."""
    if not (notebook_status(seen.pod or {}) or {}).get("ready"):
        return None
    for container in seen.status.get("containerStatuses") or ():
        if container.get("ready") or is_out(container):
            continue
        return _waits_for_side(
            seen,
            container,
            Stage.RUNNING,
            f"Your server is running. {capitalized(seen.in_words(container))} is not ready yet.",
        )
    return None


def _waits_for_side(seen: Observation, container: Raw, stage: Stage, sentence: str) -> Diagnosis:
    complaints, name = _complaints(seen, container), container.get("name")
    waiting = state_of(container, "waiting")
    why = message_of(complaints[-1]) if complaints else message_of(waiting) or waiting.get("reason")
    return Diagnosis.waiting(
        stage,
        sentence,
        reason=Reason.NOT_READY if complaints else None,
        detail=f"container {name} is not ready: {why or 'it does not say why'}",
        expired=f"{capitalized(seen.in_words(container))} was not ready within {{waited}}. {AGAIN}",
    )


def server_runs(seen: Observation) -> Diagnosis | None:
    """The server's process runs, but does not answer yet, or fails a probe."""
    container = notebook_status(seen.pod or {})
    if container is None or not state_of(container, "running"):
        return None
    complaints = _complaints(seen, container)
    failed = f"Your server started but did not pass the cluster's health check within {{waited}}. {AGAIN}"
    return Diagnosis.waiting(
        Stage.RUNNING,
        _RUNS,
        reason=Reason.NOT_READY if complaints else None,
        detail=f"container {container.get('name')}: {message_of(complaints[-1])}" if complaints else "",
        expired=failed if complaints else _SILENT,
    )


def _complaints(seen: Observation, container: Raw) -> list[Raw]:
    """Return the messages of failed probes since the container runs."""
    begin = parse_time(state_of(container, "running").get("startedAt"))
    return [
        event
        for event in seen.pod_events("Unhealthy")
        if is_of_container(event, str(container.get("name"))) and last_seen(event) >= begin
    ]


def node_sets_up(seen: Observation) -> Diagnosis | None:
    """The pod is scheduled; volumes, network and containers come next."""
    if not seen.spec.get("nodeName"):
        return None
    return Diagnosis.waiting(
        Stage.STARTING,
        "Found a machine; setting up your server.",
        detail=f"node {seen.spec['nodeName']}",
        expired=f"The machine did not finish setting up your server within {{waited}}. {AGAIN}",
    )


TROUBLE_RULES = (
    object_missing,
    root_not_allowed,
    server_restarts,
    container_not_created,
    node_silent,
    sandbox_fails,
)
PROGRESS_RULES = (step_runs, side_container_starts, others_not_ready, server_runs, node_sets_up)
