"""The manifest of a server's pod."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from k8s_hub.manifests.casing import (
    ManifestError,
    api_fields,
    api_object,
    api_objects,
    camel_case,
    without_nulls,
)
from k8s_hub.manifests.checks import checked_pod
from k8s_hub.manifests.claim import ClaimMount
from k8s_hub.manifests.metadata import object_metadata
from k8s_hub.manifests.owned import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE
from k8s_hub.naming.ownership import NOTEBOOK_CONTAINER
from k8s_hub.objects.raw import Raw
from k8s_hub.text import kind_of

NOTEBOOK_PORT_NAME = "notebook-port"
"""The chart's network policies open the port by this name."""

_CERTIFICATES_VOLUME = "jupyterhub-internal-certs"
_CERTIFICATES_MODE = 0o777
"""The server must be able to read its key under any uid. The pod runs no other user's code."""


Objects = Sequence[Raw] | Mapping[str, Raw]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodInputs:
    """Resolved values of KubeSpawner's traits of the same names.

    ``env`` is the result of ``get_env``, and ``cmd`` the whole command line. ``labels`` and ``annotations`` come from
    ``metadata``. Lists of objects may be dicts, whose keys only define the order.
    """

    pod_name: str
    image: str
    port: int = 8888
    cmd: Sequence[str] | None = None
    """None means the image's command."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, Any] = field(default_factory=dict)
    working_dir: str | None = None

    image_pull_policy: str | None = None
    image_pull_secrets: Sequence[str | Raw] | str | None = ()

    uid: int | None = None
    gid: int | None = None
    fs_gid: int | None = None
    supplemental_gids: Sequence[int] | None = ()
    privileged: bool = False
    allow_privilege_escalation: bool | None = False
    container_security_context: Mapping[str, Any] | None = None
    pod_security_context: Mapping[str, Any] | None = None
    service_account: str | None = None
    automount_service_account_token: bool | None = None

    cpu_limit: float | None = None
    cpu_guarantee: float | None = None
    """In cores."""
    mem_limit: float | str | None = None
    mem_guarantee: float | str | None = None
    """In bytes, or a quantity."""
    extra_resource_limits: Mapping[str, Any] = field(default_factory=dict)
    extra_resource_guarantees: Mapping[str, Any] = field(default_factory=dict)

    volumes: Objects = ()
    volume_mounts: Objects = ()
    claim_mounts: Sequence[ClaimMount] = ()
    """The server's extra claims."""
    init_containers: Objects = ()
    extra_containers: Objects = ()
    lifecycle_hooks: Mapping[str, Any] | None = None
    extra_container_config: Mapping[str, Any] = field(default_factory=dict)
    extra_pod_config: Mapping[str, Any] = field(default_factory=dict)

    scheduler_name: str | None = None
    priority_class_name: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Objects = ()
    node_affinity_preferred: Objects = ()
    node_affinity_required: Objects = ()
    pod_affinity_preferred: Objects = ()
    pod_affinity_required: Objects = ()
    pod_anti_affinity_preferred: Objects = ()
    pod_anti_affinity_required: Objects = ()

    ssl_secret_name: str | None = None
    """The Secret with the pod's certificates; None without ``internal_ssl``."""
    secret_mount_path: str = "/etc/jupyterhub/ssl/"  # noqa: S105 - a path


def build_pod(inputs: PodInputs) -> dict[str, Any]:
    """Return the pod's manifest; raise ManifestError for invalid inputs."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": object_metadata(inputs.pod_name, inputs.labels, inputs.annotations),
        "spec": _overridden(_spec(inputs), inputs.extra_pod_config, "extra_pod_config"),
    }
    return checked_pod(pod)


def _spec(inputs: PodInputs) -> dict[str, Any]:
    return {
        "containers": [
            _overridden(_notebook(inputs), inputs.extra_container_config, "extra_container_config"),
            *api_objects(inputs.extra_containers, "extra_containers"),
        ],
        "initContainers": api_objects(inputs.init_containers, "init_containers") or None,
        "restartPolicy": "OnFailure",
        "imagePullSecrets": _pull_secrets(inputs.image_pull_secrets),
        "securityContext": pod_security_context(inputs),
        "serviceAccountName": inputs.service_account or None,
        "automountServiceAccountToken": _automount(inputs),
        "volumes": [
            *api_objects(inputs.volumes, "volumes"),
            *(mount.volume for mount in inputs.claim_mounts),
            *_certificates_volumes(inputs),
        ],
        "nodeSelector": inputs.node_selector or None,
        "tolerations": api_objects(inputs.tolerations, "tolerations") or None,
        "affinity": build_affinity(inputs),
        "schedulerName": inputs.scheduler_name or None,
        "priorityClassName": inputs.priority_class_name or None,
    }


def _notebook(inputs: PodInputs) -> dict[str, Any]:
    hooks = inputs.lifecycle_hooks
    return {
        "name": NOTEBOOK_CONTAINER,
        "image": inputs.image,
        "imagePullPolicy": inputs.image_pull_policy,
        # As arguments, so that the image's own entrypoint still runs.
        "args": None if inputs.cmd is None else list(inputs.cmd),
        "workingDir": inputs.working_dir,
        "ports": [{"name": NOTEBOOK_PORT_NAME, "containerPort": inputs.port}],
        "env": build_environment({**inputs.env, **_certificates_env(inputs)}),
        "lifecycle": None if hooks is None else api_object(hooks, "lifecycle_hooks"),
        "resources": {
            "requests": _resources(
                inputs.cpu_guarantee, inputs.mem_guarantee, inputs.extra_resource_guarantees
            ),
            "limits": _resources(inputs.cpu_limit, inputs.mem_limit, inputs.extra_resource_limits),
        },
        "securityContext": container_security_context(inputs),
        "volumeMounts": [
            *api_objects(inputs.volume_mounts, "volume_mounts"),
            *(mount.mount for mount in inputs.claim_mounts),
            *_certificates_mounts(inputs),
        ],
    }


def _overridden(target: Mapping[str, Any], changes: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Replace whole top-level fields; None removes a field."""
    return without_nulls({**target, **api_fields(changes, field)})


def _resources(cpu: float | None, memory: float | str | None, extra: Mapping[str, Any]) -> dict[str, Any]:
    # Zero is "not asked for", as in JupyterHub.
    return {**without_nulls({"cpu": cpu or None, "memory": memory or None}), **extra}


def _pull_secrets(secrets: Sequence[str | Raw] | str | None) -> list[dict[str, Any]] | None:
    if secrets is None:
        return None
    named = [secrets] if isinstance(secrets, str) else secrets
    return api_objects(
        [{"name": secret} if isinstance(secret, str) else secret for secret in named], "image_pull_secrets"
    )


def _automount(inputs: PodInputs) -> bool | None:
    """Mount no token of the cluster's API, unless a service account or the token is configured.

    A service account "" counts as none: Kubernetes would use the default account.
    """
    if inputs.automount_service_account_token is None and not inputs.service_account:
        return False
    return inputs.automount_service_account_token


def _certificates_volumes(inputs: PodInputs) -> list[dict[str, Any]]:
    if not inputs.ssl_secret_name:
        return []
    secret = {"secretName": inputs.ssl_secret_name, "defaultMode": _CERTIFICATES_MODE}
    return [{"name": _CERTIFICATES_VOLUME, "secret": secret}]


def _certificates_mounts(inputs: PodInputs) -> list[dict[str, Any]]:
    if not inputs.ssl_secret_name:
        return []
    return [{"name": _CERTIFICATES_VOLUME, "mountPath": inputs.secret_mount_path}]


def _certificates_env(inputs: PodInputs) -> dict[str, str]:
    if not inputs.ssl_secret_name:
        return {}
    return {
        "JUPYTERHUB_SSL_KEYFILE": f"{inputs.secret_mount_path}{KEY_FILE}",
        "JUPYTERHUB_SSL_CERTFILE": f"{inputs.secret_mount_path}{CERTIFICATE_FILE}",
        "JUPYTERHUB_SSL_CLIENT_CA": f"{inputs.secret_mount_path}{TRUST_FILE}",
    }


# --- Security contexts: the dedicated traits first, then the configured context over them, key by key ---


def pod_security_context(inputs: PodInputs) -> dict[str, Any] | None:
    """Return the pod's security context, with the groups, which cannot be set per container; None if empty."""
    given = inputs.supplemental_gids
    if not isinstance(given, Iterable | None):
        raise ManifestError(f"must be a list, not {kind_of(given)}", "supplemental_gids")
    gids = [_integer(gid, "supplemental_gids") for gid in given or ()]
    fs_gid = _integer(inputs.fs_gid, "fs_gid")
    dedicated = without_nulls({"fsGroup": fs_gid, "supplementalGroups": gids or None})
    return {**dedicated, **_checked(inputs.pod_security_context, "pod_security_context")} or None


def container_security_context(inputs: PodInputs) -> dict[str, Any] | None:
    """Return the notebook container's security context; None if empty, so that image and cluster decide."""
    dedicated = without_nulls(
        {
            "runAsUser": _integer(inputs.uid, "uid"),
            "runAsGroup": _integer(inputs.gid, "gid"),
            "privileged": True if inputs.privileged else None,
            "allowPrivilegeEscalation": inputs.allow_privilege_escalation,
        }
    )
    configured = _checked(inputs.container_security_context, "container_security_context")
    return {**dedicated, **configured} or None


def _checked(configured: Mapping[str, Any] | None, field: str) -> Mapping[str, Any]:
    """Refuse snake_case keys: a misspelled key would silently remove a protection."""
    if not isinstance(configured, Mapping | None):
        raise ManifestError(f"must be a dictionary, not {kind_of(configured)}", field)
    for key in configured or {}:
        if "_" in str(key):
            raise ManifestError(
                f"has the key {key!r}; keys must be in camelCase: did you mean {camel_case(key)!r}?", field
            )
    return configured or {}


def _integer(value: Any, field: str) -> int | None:
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise ManifestError(f"must be an integer, not {kind_of(value)}", field) from None


# --- Affinity: merges KubeSpawner's six lists of terms, and binds a pod to a node ---


_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def build_affinity(inputs: PodInputs) -> dict[str, Any] | None:
    """Return the affinity; None without terms."""
    affinity = {}
    for kind in ("node_affinity", "pod_affinity", "pod_anti_affinity"):
        preferred, required = (
            api_objects(getattr(inputs, field), field) for field in (f"{kind}_preferred", f"{kind}_required")
        )
        is_selector = required and kind == "node_affinity"
        rules = {
            _PREFERRED: preferred,
            _REQUIRED: {"nodeSelectorTerms": required} if is_selector else required,
        }
        affinity[camel_case(kind)] = {rule: terms for rule, terms in rules.items() if terms} or None
    return without_nulls(affinity) or None


def bound_to_node(affinity: Raw | None, node: str) -> dict[str, Any]:
    """Restrict an affinity to one node. The pod's own required terms must still match there.

    It uses the node's name, because the label ``kubernetes.io/hostname`` may differ and a hub may not read nodes.
    """
    rules = (affinity or {}).get("nodeAffinity") or {}
    required = rules.get(_REQUIRED) or {}
    # One term of several is enough, so each gets it. One without any condition fits no node, and so it stays.
    terms = [
        {**term, "matchFields": [*(term.get("matchFields") or ()), _is_node(node)]}
        if term.get("matchExpressions") or term.get("matchFields")
        else term
        for term in required.get("nodeSelectorTerms") or ()
    ]
    bound = {**required, "nodeSelectorTerms": terms or [{"matchFields": [_is_node(node)]}]}
    return {**(affinity or {}), "nodeAffinity": {**rules, _REQUIRED: bound}}


def _is_node(node: str) -> dict[str, Any]:
    return {"key": "metadata.name", "operator": "In", "values": [node]}


# --- Environment: Kubernetes fills in a reference only if the variable it names stands earlier in the list ---


_REFERENCE = re.compile(r"\$\(([^)]+)\)")


class _Variable(NamedTuple):
    name: str
    sort_key: str
    entry: dict[str, Any]
    references: frozenset[str]


def build_environment(env: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the container's ``env`` list.

    A value is a string, None, a number, a boolean, or a dict such as ``{"valueFrom": {"secretKeyRef": ...}}``, which may
    have a name of its own. Numbers and booleans become text as in JSON: ``4``, ``0.5``, ``true``. Variables are sorted by
    key, but come after the variables that they refer to.
    """
    variables = {variable.name: variable for key in env for variable in (_variable(key, env[key]),)}
    waiting = sorted(variables.values(), key=lambda variable: variable.sort_key)
    placed: list[_Variable] = []
    # A reference to a variable that is not in the list (the cluster sets some itself) puts its owner after
    # all others, but must not keep those who refer to the owner from standing behind it.
    elsewhere = frozenset().union(*(variable.references for variable in waiting)) - variables.keys()
    settled = set[str]()
    for more in (frozenset[str](), elsewhere):
        settled |= more
        while ready := [variable for variable in waiting if variable.references <= settled]:
            placed += ready
            settled.update(variable.name for variable in ready)
            waiting = [variable for variable in waiting if variable.name not in settled]
    # What is left refers to itself in a circle.
    return [variable.entry for variable in (*placed, *waiting)]


def _variable(key: Any, value: Any) -> _Variable:
    if not isinstance(key, str):
        raise ManifestError(
            f"has {kind_of(key)} as the name of a variable; names must be strings", "environment"
        )
    field = f"environment[{key!r}]"
    entry = api_object(
        {"name": key, **value} if isinstance(value, Mapping) else {"name": key, "value": value}, field
    )
    if not isinstance(entry.get("name"), str):
        raise ManifestError(f"must have a string as its name, not {kind_of(entry.get('name'))}", field)
    if "value" in entry:
        entry["value"] = _text(entry["value"], field)
    return _Variable(
        name=entry["name"],
        sort_key=key,
        entry=entry,
        references=frozenset(_REFERENCE.findall(entry.get("value", ""))) - {entry["name"]},
    )


def _text(value: Any, field: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, bool | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise ManifestError(f"must be a string, a number, true or false, not {kind_of(value)}", field)
    try:
        return json.dumps(value)
    except ValueError:
        raise ManifestError("is a number with too many digits", field) from None
