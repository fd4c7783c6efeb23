"""Security contexts: the dedicated traits first, then the configured context over them, key by key."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from k8s_hub.manifests.casing import ManifestError, camel_case, kind_of, without_nulls


def pod_security_context(
    *, fs_gid: int | None, supplemental_gids: Sequence[int] | None, configured: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Return the pod's context: the groups, which containers cannot have of their own. None if empty."""
    if not isinstance(supplemental_gids, Iterable | None):
        raise ManifestError(f"must be a list, not {kind_of(supplemental_gids)}", "supplemental_gids")
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
        raise ManifestError(f"must be a dictionary, not {kind_of(configured)}", field)
    for key in configured or {}:
        if "_" in str(key):
            raise ManifestError(
                f"has the key {key!r}: its keys are the API's, in camelCase ({camel_case(key)!r})", field
            )
    return configured or {}


def _integer(value: Any, field: str) -> int | None:
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise ManifestError(f"must be an integer, not {kind_of(value)}", field) from None
