"""Projections of pods and claims: the fields that the spawner and diagnosis read.

A whole pod has about 10 kB, half of it environment and managed fields. The projection drops environment and arguments, so
that code with a view cannot log a token.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from k8s_hub.objects.raw import Raw

_ANNOTATION_PREFIX = "hub.jupyter.org/"

_METADATA = (
    "name",
    "namespace",
    "uid",
    "labels",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "finalizers",
)
_SPEC = ("nodeName", "nodeSelector", "restartPolicy", "priorityClassName", "resources")
_CONTAINER = ("name", "image", "resources", "restartPolicy", "ports")
_STATUS = ("phase", "reason", "message", "podIP", "podIPs", "startTime")
_CLAIM_SPEC = ("accessModes", "resources", "storageClassName", "volumeName")
_CLAIM_STATUS = ("phase", "accessModes", "capacity", "conditions")
_CONDITION = ("type", "status", "reason", "message", "lastTransitionTime")
_CONTAINER_STATUS = ("name", "image", "ready", "started", "restartCount")
_STATES = {
    "waiting": ("reason", "message"),
    "running": ("startedAt",),
    "terminated": ("exitCode", "signal", "reason", "message", "startedAt", "finishedAt"),
}


def project_pod(raw: Raw) -> dict[str, Any]:
    """Return the projection of a pod, with the hub's annotations only."""
    return {
        "metadata": _project_metadata(raw.get("metadata") or {}),
        "spec": _project_spec(raw.get("spec") or {}),
        "status": _project_status(raw.get("status") or {}),
    }


def project_claim(raw: Raw) -> dict[str, Any]:
    """Return the projection of a claim: owner, class, size and status."""
    return {
        "metadata": _project_metadata(raw.get("metadata") or {}),
        "spec": _keep(raw.get("spec") or {}, _CLAIM_SPEC),
        "status": _keep(raw.get("status") or {}, _CLAIM_STATUS),
    }


def _project_metadata(metadata: Raw) -> dict[str, Any]:
    annotations = metadata.get("annotations") or {}
    ours = {key: value for key, value in annotations.items() if key.startswith(_ANNOTATION_PREFIX)}
    return _keep(metadata, _METADATA) | {"annotations": ours}


def _project_spec(spec: Raw) -> dict[str, Any]:
    lists = {
        name: [_keep(container, _CONTAINER) for container in spec[name]]
        for name in ("initContainers", "containers")
        if spec.get(name)
    }
    claims = [
        {"persistentVolumeClaim": {"claimName": volume["persistentVolumeClaim"].get("claimName")}}
        for volume in spec.get("volumes") or ()
        if volume.get("persistentVolumeClaim")
    ]
    return _keep(spec, _SPEC) | lists | ({"volumes": claims} if claims else {})


def _project_status(status: Raw) -> dict[str, Any]:
    kept = _keep(status, _STATUS)
    if status.get("conditions"):
        kept["conditions"] = [_keep(condition, _CONDITION) for condition in status["conditions"]]
    for name in ("initContainerStatuses", "containerStatuses"):
        if status.get(name):
            kept[name] = [_project_container_status(container) for container in status[name]]
    return kept


def _project_container_status(container: Raw) -> dict[str, Any]:
    states = {name: _project_state(container[name]) for name in ("state", "lastState") if container.get(name)}
    return _keep(container, _CONTAINER_STATUS) | states


def _project_state(state: Raw) -> dict[str, Any]:
    return {name: _keep(state[name], fields) for name, fields in _STATES.items() if name in state}


def _keep(obj: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: obj[name] for name in names if obj.get(name) is not None}
