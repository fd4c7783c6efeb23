"""Small pods, claims and events for tests whose point is one field; the recorded ones are in tests/data."""

from datetime import UTC, datetime, timedelta
from typing import Any

from k8s_hub.diagnosis.observation import Observation

STARTED = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
POD_UID = "11111111-pod"
CLAIM_UID = "22222222-claim"

CRASH_LOOP = {"reason": "CrashLoopBackOff"}
ERROR = {"exitCode": 1, "reason": "Error", "message": "Traceback: token=hunter2hunter2"}


def at(seconds: float) -> str:
    """A timestamp that many seconds after the start."""
    return f"{STARTED + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def container(name: str = "notebook", *, restarts: int = 0, ready: bool = False, last=None, **state: Any):
    """A containerStatus: ``container(running={})``, ``container(terminated={"exitCode": 1})``."""
    status = {
        "name": name,
        "image": "example.org/lab:1",
        "ready": ready,
        "restartCount": restarts,
        "state": state,
    }
    return status | ({"lastState": {"terminated": last}} if last else {})


def pod(
    *statuses: dict[str, Any],
    phase: str = "Running",
    restart_policy: str = "OnFailure",
    names: tuple[str, ...] = ("notebook",),
    dying: bool = False,
    status: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A pod of user jane with these container statuses."""
    return {
        "metadata": {
            "name": "jupyter-jane",
            "namespace": "hub",
            "uid": POD_UID,
            "creationTimestamp": at(0),
            **({"deletionTimestamp": at(30)} if dying else {}),
            **(metadata or {}),
        },
        "spec": {
            "restartPolicy": restart_policy,
            "containers": [{"name": name, "image": "example.org/lab:1"} for name in names],
            **(spec or {}),
        },
        "status": {
            "phase": phase,
            **({"containerStatuses": list(statuses)} if statuses else {}),
            **(status or {}),
        },
    }


def claim(phase: str = "Pending", *, dying: bool = False, **metadata: Any) -> dict[str, Any]:
    """The home claim of user jane."""
    return {
        "metadata": {
            "name": "claim-jane",
            "namespace": "hub",
            "uid": CLAIM_UID,
            "creationTimestamp": at(0),
            **({"deletionTimestamp": at(0)} if dying else {}),
            **metadata,
        },
        "spec": {"storageClassName": "fast"},
        "status": {"phase": phase},
    }


def event(reason: str, message: str = "", *, second: float = 1, uid: str = POD_UID, **fields: Any):
    """An event of the pod as the kubelet writes it; the scheduler's have ``eventTime`` instead."""
    return {
        "metadata": {"name": f"jupyter-jane.{reason}", "creationTimestamp": at(second)},
        "involvedObject": {"uid": uid},
        "reason": reason,
        "message": message,
        "firstTimestamp": at(second),
        "lastTimestamp": at(second),
        **fields,
    }


def seen(
    pod: dict[str, Any] | None = None,
    claim: dict[str, Any] | None = None,
    *events: dict[str, Any],
    second: float = 5,
) -> Observation:
    """What is known that many seconds after the start."""
    now = STARTED + timedelta(seconds=second)
    return Observation(pod=pod, claim=claim, events=events, now=now, started=STARTED)


def condition(name: str, status: str, *, second: float = 1, **fields: Any) -> dict[str, Any]:
    return {"type": name, "status": status, "lastTransitionTime": at(second), **fields}


def unscheduled(message: str, **spec: Any) -> dict[str, Any]:
    """A pod for which the scheduler has found no machine."""
    scheduled = condition("PodScheduled", "False", reason="Unschedulable", message=message)
    return pod(phase="Pending", status={"conditions": [scheduled]}, spec=spec)


def placed(*statuses: dict[str, Any], phase: str = "Pending", **status: Any) -> dict[str, Any]:
    """A pod that has its machine."""
    conditions = [condition("PodScheduled", "True")]
    return pod(
        *statuses, phase=phase, status={"conditions": conditions, **status}, spec={"nodeName": "node-1"}
    )


def creating(**status: Any) -> dict[str, Any]:
    """A pod whose machine sets it up."""
    return placed(container(waiting={"reason": "ContainerCreating"}), **status)
