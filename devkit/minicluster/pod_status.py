"""The status of a pod, like a kubelet writes it.

Only the main container runs. Sidecars get its state, and init containers are shown as completed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from k8s_hub.objects.raw import Raw
from k8s_hub.objects.timestamps import format_seconds

CREATING = "ContainerCreating"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Not running, and why."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Running since then."""

    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """Ended, and how."""

    exit_code: int
    reason: str
    started: datetime
    finished: datetime
    message: str = ""


ContainerState: TypeAlias = Waiting | Running | Terminated


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """Everything that the node knows about one pod."""

    #: None: not yet on the node.
    scheduled: datetime | None = None
    #: Why it is not scheduled; empty: not tried yet.
    unschedulable: str = ""
    address: str = ""
    state: ContainerState = Waiting(reason=CREATING)
    last: Terminated | None = None
    restarts: int = 0


def main_container(pod: Raw) -> Raw:
    """Return the container to run: "notebook", or the first."""
    containers: list[Raw] = pod["spec"]["containers"]
    return next((each for each in containers if each.get("name") == "notebook"), containers[0])


def pod_status(pod: Raw, facts: PodFacts, node_address: str, now: datetime) -> dict[str, Any]:
    """Return the status. Unchanged conditions keep their transition time."""
    before = pod.get("status", {})
    status: dict[str, Any] = {
        "phase": _phase(pod, facts),
        "conditions": _timed(_conditions(pod, facts), before.get("conditions", ()), now),
    }
    if facts.scheduled is None:
        return status
    status |= {"hostIP": node_address, "startTime": format_seconds(facts.scheduled)}
    if facts.address:
        status |= {"podIP": facts.address, "podIPs": [{"ip": facts.address}]}
    if pod["spec"].get("initContainers"):
        status["initContainerStatuses"] = [
            _completed(each, facts.scheduled) for each in pod["spec"]["initContainers"]
        ]
    status["containerStatuses"] = [_container(each, facts) for each in pod["spec"]["containers"]]
    return status


def is_restarted_after(pod: Raw, exit_code: int) -> bool:
    """True if the pod's policy restarts its container."""
    policy = pod["spec"].get("restartPolicy")
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def _phase(pod: Raw, facts: PodFacts) -> str:
    match facts.state:
        case Running():
            return "Running"
        case Terminated(exit_code=code) if is_restarted_after(pod, code):
            return "Running"
        case Terminated(exit_code=code):
            return "Succeeded" if code == 0 else "Failed"
        case Waiting():
            return "Pending" if facts.last is None else "Running"


def _conditions(pod: Raw, facts: PodFacts) -> list[dict[str, Any]]:
    if facts.scheduled is None:
        return [
            _condition("PodScheduled", is_true=False, reason="Unschedulable", message=facts.unschedulable)
        ]
    is_ready = isinstance(facts.state, Running)
    why: dict[str, str] = {}
    if not is_ready:
        names = " ".join(each["name"] for each in pod["spec"]["containers"])
        why = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{names}]"}
    if isinstance(facts.state, Terminated) and facts.state.exit_code == 0:
        why = {"reason": "PodCompleted"}
    return [
        _condition("PodReadyToStartContainers", is_true=bool(facts.address)),
        _condition("Initialized", is_true=True),
        _condition("Ready", is_true=is_ready, **why),
        _condition("ContainersReady", is_true=is_ready, **why),
        _condition("PodScheduled", is_true=True),
    ]


def _condition(name: str, *, is_true: bool, reason: str = "", message: str = "") -> dict[str, Any]:
    condition: dict[str, Any] = {
        "type": name,
        "status": "True" if is_true else "False",
        "lastProbeTime": None,
    }
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def _timed(
    conditions: Iterable[dict[str, Any]], before: Iterable[Raw], now: datetime
) -> list[dict[str, Any]]:
    known = {(each["type"], each["status"]): each.get("lastTransitionTime") for each in before}
    return [
        {**each, "lastTransitionTime": known.get((each["type"], each["status"])) or format_seconds(now)}
        for each in conditions
    ]


def _container(container: Raw, facts: PodFacts) -> dict[str, Any]:
    is_running = isinstance(facts.state, Running)
    image = container.get("image", "")
    return {
        "name": container["name"],
        "image": image,
        "imageID": image if facts.last or not isinstance(facts.state, Waiting) else "",
        "ready": is_running,
        "started": is_running,
        "restartCount": facts.restarts,
        "state": _state(facts.state),
        "lastState": _state(facts.last) if facts.last else {},
    }


def _state(state: ContainerState) -> dict[str, Any]:
    match state:
        case Waiting(reason=reason, message=message):
            return {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        case Running(since=since):
            return {"running": {"startedAt": format_seconds(since)}}
        case Terminated():
            terminated: dict[str, Any] = {
                "exitCode": state.exit_code,
                "reason": state.reason,
                "startedAt": format_seconds(state.started),
                "finishedAt": format_seconds(state.finished),
            }
            if state.message:
                terminated["message"] = state.message
            return {"terminated": terminated}


def _completed(container: Raw, at: datetime) -> dict[str, Any]:
    state = _state(Terminated(exit_code=0, reason="Completed", started=at, finished=at))
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": container.get("image", ""),
        "ready": True,
        "started": False,
        "restartCount": 0,
        "state": state,
        "lastState": {},
    }
