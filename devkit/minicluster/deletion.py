"""Decides what a DELETE does to an object. The functions are pure; callers carry it out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from devkit.minicluster.admission import DEFAULT_GRACE_SECONDS
from devkit.minicluster.resources import CLAIMS, NAMESPACES, PODS, Kind
from devkit.minicluster.statuses import bad_request, conflict
from k8s_hub.objects.keys import is_terminating, key_of, metadata_of, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.objects.timestamps import format_seconds, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    """The options of a DELETE."""

    uid: str | None = None
    resource_version: str | None = None
    #: None: the object's own grace period.
    grace_seconds: int | None = None


def parse_options(body: object, query: Mapping[str, str]) -> DeleteOptions:
    """Parse the body (DeleteOptions or empty) and the query; raise 400 for unsupported options."""
    options = body if isinstance(body, Mapping) else {}
    policy = options.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
    if policy != "Background":
        raise bad_request(f"the mini cluster does not support propagationPolicy {policy!r}, only Background")
    preconditions = options.get("preconditions") or {}
    return DeleteOptions(
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        grace_seconds=_grace(options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))),
    )


def check_preconditions(kind: Kind, obj: Raw, options: DeleteOptions) -> None:
    """Raise 409 if a precondition does not hold."""
    name, uid = key_of(obj).name, uid_of(obj)
    if options.uid is not None and options.uid != uid:
        raise conflict(
            kind.kind,
            name,
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({uid}). "
            "The object might have been deleted and then recreated",
        )
    version = metadata_of(obj)["resourceVersion"]
    if options.resource_version not in {None, version}:
        raise conflict(
            kind.kind,
            name,
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
            f"ResourceVersion in record ({version}). The object might have been modified",
        )


def plan_deletion(kind: Kind, obj: Raw, options: DeleteOptions, now: datetime) -> Raw | None:
    """Return the terminating object to store; None to remove it at once.

    A pod on a node gets a grace period, and its kubelet removes it. Claims and namespaces wait for their controllers.
    Everything else is removed at once.
    """
    if kind == PODS:
        return _dying_pod(obj, options, now)
    if kind == CLAIMS:
        return obj if is_terminating(obj) else _dying(obj, 0, now)
    if kind == NAMESPACES:
        if is_terminating(obj):
            return obj
        return {**_dying(obj, 0, now), "status": {**obj.get("status", {}), "phase": "Terminating"}}
    return None


def _dying_pod(pod: Raw, options: DeleteOptions, now: datetime) -> Raw | None:
    spec = pod["spec"]
    default = spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
    grace = default if options.grace_seconds is None else options.grace_seconds
    ended = pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
    if grace == 0 or ended or not spec.get("nodeName"):
        return None
    if is_terminating(pod) and (options.grace_seconds is None or not _is_sooner(pod, grace, now)):
        return pod
    return _dying(pod, grace, now)


def _is_sooner(pod: Raw, grace: int, now: datetime) -> bool:
    """A second DELETE may shorten the grace period, never lengthen it."""
    return now + timedelta(seconds=grace) < parse(metadata_of(pod)["deletionTimestamp"])


def _dying(obj: Raw, grace: int, now: datetime) -> dict[str, Any]:
    mark = {
        "deletionTimestamp": format_seconds(now + timedelta(seconds=grace)),
        "deletionGracePeriodSeconds": grace,
    }
    return {**obj, "metadata": {**metadata_of(obj), **mark}}


def _grace(value: object) -> int | None:
    if value is None:
        return None
    try:
        grace = math.floor(float(str(value)))
    except ValueError:
        raise bad_request(f"gracePeriodSeconds is not a number: {value!r}") from None
    return max(grace, 0)
