"""Security contexts: the dedicated traits first, then the configured context over them, key by key."""

from collections.abc import Mapping, Sequence
from typing import Any

from k8s_hub.manifests.casing import ManifestError, without_nulls


def pod_security_context(
    *, fs_gid: int | None, supplemental_gids: Sequence[int] | None, configured: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Return the pod's context: the groups, which containers cannot have of their own. None if empty."""
    gids = [_integer(gid, "supplemental_gids") for gid in supplemental_gids or ()]
    dedicated = without_nulls({"fsGroup": _integer(fs_gid, "fs_gid"), "supplementalGroups": gids or None})
    return {**dedicated, **_checked(configured, "pod_security_context")} or None


def container_security_context(
    *,
    uid: int | None,
    gid: int | None,
    privileged: bool,
    allow_privilege_escalation: bool | None,
    configured: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    """Return the notebook container's context; None if empty, so that the image and the cluster decide."""
    dedicated = without_nulls(
        {
            "runAsUser": _integer(uid, "uid"),
            "runAsGroup": _integer(gid, "gid"),
            "privileged": True if privileged else None,
            "allowPrivilegeEscalation": allow_privilege_escalation,
        }
    )
    return {**dedicated, **_checked(configured, "container_security_context")} or None


def _checked(configured: Mapping[str, Any] | None, field: str) -> Mapping[str, Any]:
    """Refuse snake_case here: a misspelled key would be a protection that is silently missing."""
    if not isinstance(configured, Mapping | None):
        raise ManifestError(f"{field} must be a dict, not {configured!r}")
    for key in configured or {}:
        if "_" in key:
            raise ManifestError(f"{field} has the key {key!r}: its keys are the API's, in camelCase")
    return configured or {}


def _integer(value: Any, field: str) -> int | None:
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ManifestError(f"{field} must be an integer, not {value!r}") from None
