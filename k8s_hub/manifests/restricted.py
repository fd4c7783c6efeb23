"""The restricted Pod Security Standard: finds violations in a pod, and fills in required fields.

The rules are those of Kubernetes 1.37, baseline and restricted together. A namespace that enforces the standard admits
``restricted(pod)`` exactly if ``contradictions(pod)`` is empty.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k8s_hub.manifests.casing import without_nulls
from k8s_hub.objects.raw import Raw

_PROFILES = ("RuntimeDefault", "Localhost")
_SELINUX_TYPES = (None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_PROC_MOUNTS = (None, "Default")
_ALL, _BIND = "ALL", "NET_BIND_SERVICE"
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """One value that the standard forbids. It never contains a secret."""

    #: Such as ``spec.containers[notebook].securityContext.privileged``.
    path: str
    value: Any

    def __str__(self) -> str:
        return f"{self.path} = {self.value!r}"


Rules = Mapping[str, Callable[[Any], bool]]
"""By the path of a field: a function that returns whether its value is forbidden. None means absent."""


def _is_true(value: Any) -> bool:
    return value is True


def _is_other_profile(kind: Any) -> bool:
    return kind not in _PROFILES


_OF_PODS: Rules = {"hostNetwork": _is_true, "hostPID": _is_true, "hostIPC": _is_true}
_OF_CONTEXTS: Rules = {
    "seccompProfile.type": _is_other_profile,
    "appArmorProfile.type": _is_other_profile,
    "seLinuxOptions.type": lambda kind: kind not in _SELINUX_TYPES,
    "seLinuxOptions.user": bool,
    "seLinuxOptions.role": bool,
    "windowsOptions.hostProcess": _is_true,
}
_AGAINST_ROOT: Rules = {
    "runAsNonRoot": lambda value: value is False,
    "runAsUser": lambda value: value == 0 and value is not False,
}
_OF_CONTAINERS: Rules = {
    "securityContext.privileged": _is_true,
    "securityContext.allowPrivilegeEscalation": _is_true,
    "securityContext.procMount": lambda kind: kind not in _PROC_MOUNTS,
    **{
        f"{asked}.{action}.host": bool
        for asked in (
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
            "lifecycle.postStart",
            "lifecycle.preStop",
        )
        for action in ("httpGet", "tcpSocket")
    },
}


def contradictions(pod: Raw) -> list[Contradiction]:
    """Return all violations of the standard. A missing field is no violation: `restricted` fills it in."""
    found = (*_of_annotations(pod), *_of_spec(_object(pod, "spec")))
    return [Contradiction(path=path, value=value) for path, value in found]


def restricted(pod: Raw) -> dict[str, Any]:
    """Fill in the missing fields that the standard requires. Present fields stay as they are."""
    spec = _object(pod, "spec")
    is_linux = _object(spec, "os").get("name") != "windows"  # whose containers have none of this but the user
    containers = {
        kind: [_restricted_container(container) for container in spec[kind]]
        for kind in _CONTAINERS
        if is_linux and isinstance(spec.get(kind), list | tuple)
    }
    return {**pod, "spec": {**spec, **containers, **_filled(spec, _demands(spec, is_linux=is_linux))}}


Found = Iterator[tuple[str, Any]]


def _of_annotations(pod: Raw) -> Found:
    """Yield forbidden AppArmor profiles in annotations, which older versions of Kubernetes used."""
    for name, value in _object(_object(pod, "metadata"), "annotations").items():
        is_profile = name.startswith(_APPARMOR) and bool(value)
        if is_profile and value != "runtime/default" and not str(value).startswith("localhost/"):
            yield f"metadata.annotations[{name}]", value


def _of_spec(spec: Raw) -> Found:
    # In a user namespace root is nobody outside of the pod.
    of_contexts = _OF_CONTEXTS if _has_user_namespace(spec) else {**_OF_CONTEXTS, **_AGAINST_ROOT}
    context = _object(spec, "securityContext")
    yield from _forbidden(spec, _OF_PODS, "spec")
    yield from _forbidden(context, of_contexts, "spec.securityContext")
    for sysctl in _items(context, "sysctls"):
        if sysctl.get("name") not in _SYSCTLS:
            yield "spec.securityContext.sysctls", sysctl.get("name")
    for volume in _items(spec, "volumes"):
        for kind in sorted(without_nulls(volume).keys() - _VOLUMES - {"name"}):
            yield f"spec.volumes[{volume.get('name')}]", kind
    for kind in _CONTAINERS:
        for container in _items(spec, kind):
            yield from _of_container(container, f"spec.{kind}[{container.get('name')}]", of_contexts)


def _of_container(container: Raw, path: str, of_contexts: Rules) -> Found:
    context = _object(container, "securityContext")
    yield from _forbidden(container, _OF_CONTAINERS, path)
    yield from _forbidden(context, of_contexts, f"{path}.securityContext")
    for capability in _list(_object(context, "capabilities"), "add"):
        if capability != _BIND:
            yield f"{path}.securityContext.capabilities.add", capability
    for port in _items(container, "ports"):
        if port.get("hostPort"):
            yield f"{path}.ports.hostPort", port["hostPort"]


def _forbidden(obj: Raw, rules: Rules, path: str) -> Found:
    for field, is_forbidden in rules.items():
        parents, _, name = field.rpartition(".")
        parent = _at(obj, parents)
        if parent is not None and is_forbidden(parent.get(name)):
            yield f"{path}.{field}", parent.get(name)


def _at(obj: Raw, path: str) -> Raw | None:
    """Return the object at the path; None if there is none."""
    for key in path.split(".") if path else ():
        inner = obj.get(key)
        if not isinstance(inner, Mapping):
            return None
        obj = inner
    return obj


def _demands(spec: Raw, *, is_linux: bool) -> dict[str, Any]:
    """Return the required fields of the pod's security context."""
    user = {} if _has_user_namespace(spec) and _wants_root(spec) else {"runAsNonRoot": True}
    return {**user, "seccompProfile": {"type": "RuntimeDefault"}} if is_linux else user


def _restricted_container(container: Any) -> Any:
    if not isinstance(container, Mapping):
        return container
    capabilities = _object(container, "securityContext").get("capabilities") or {}
    if isinstance(capabilities, Mapping) and _ALL not in _list(capabilities, "drop"):
        capabilities = {**capabilities, "drop": [*_list(capabilities, "drop"), _ALL]}
    return {**container, **_filled(container, {"allowPrivilegeEscalation": False}, capabilities=capabilities)}


def _filled(obj: Raw, demands: Mapping[str, Any], **decided: Any) -> dict[str, Any]:
    """Return the security context: required fields, overridden by its own, overridden by ``decided``."""
    context = obj.get("securityContext") or {}
    if not isinstance(context, Mapping):
        return {}
    return {"securityContext": {**demands, **without_nulls(context), **decided}}


def _has_user_namespace(spec: Raw) -> bool:
    return spec.get("hostUsers") is False


def _wants_root(spec: Raw) -> bool:
    objects = [spec, *(container for kind in _CONTAINERS for container in _items(spec, kind))]
    return any(any(_forbidden(_object(obj, "securityContext"), _AGAINST_ROOT, "")) for obj in objects)


# What is of another type than the API's is passed over and left as it is: the API server says it better.


def _object(obj: Raw, key: str) -> Raw:
    value = obj.get(key)
    return value if isinstance(value, Mapping) else {}


def _list(obj: Raw, key: str) -> Sequence[Any]:
    value = obj.get(key)
    return value if isinstance(value, list | tuple) else ()


def _items(obj: Raw, key: str) -> list[Raw]:
    return [item for item in _list(obj, key) if isinstance(item, Mapping)]
