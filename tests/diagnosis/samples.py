"""Small pods, claims and events for tests whose point is one field; the recorded ones are in tests/data."""

from datetime import UTC, datetime, timedelta
from typing import Any

STARTED = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
POD_UID = "11111111-pod"
CLAIM_UID = "22222222-claim"


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
