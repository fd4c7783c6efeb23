"""The pod: one user's server, and whatever else its admin wants beside it."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from k8s_hub.manifests.affinity import Terms, build_affinity
from k8s_hub.manifests.casing import api_fields, api_object, api_objects, without_nulls
from k8s_hub.manifests.checks import checked_pod
from k8s_hub.manifests.claim import ClaimMount
from k8s_hub.manifests.environment import build_environment
from k8s_hub.manifests.secret import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE
from k8s_hub.manifests.security import container_security_context, pod_security_context
from k8s_hub.objects.raw import Raw

NOTEBOOK_CONTAINER = "notebook"
NOTEBOOK_PORT_NAME = "notebook-port"
"""The chart's network policies open the port by this name."""

_CERTIFICATES_VOLUME = "jupyterhub-internal-certs"
_CERTIFICATES_MODE = 0o777
"""The user's process must read its key whatever its uid; the pod is the user's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodInputs:
    """The resolved values of KubeSpawner's traits of the same names.

    ``env`` is the result of ``get_env``, ``cmd`` the whole command line; ``labels`` and ``annotations`` are
    made by ``metadata``. Lists of objects may be dicts of objects, whose keys only give the order.
    """

    pod_name: str
    image: str
    port: int = 8888
    cmd: Sequence[str] | None = None
    """None leaves the command to the image."""
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

    volumes: Sequence[Raw] | Mapping[str, Raw] = ()
    volume_mounts: Sequence[Raw] | Mapping[str, Raw] = ()
    claim_mounts: Sequence[ClaimMount] = ()
    """The server's claims besides its home."""
    init_containers: Sequence[Raw] | Mapping[str, Raw] = ()
    extra_containers: Sequence[Raw] | Mapping[str, Raw] = ()
    lifecycle_hooks: Mapping[str, Any] | None = None
    extra_container_config: Mapping[str, Any] = field(default_factory=dict)
    extra_pod_config: Mapping[str, Any] = field(default_factory=dict)

    scheduler_name: str | None = None
    priority_class_name: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Raw] | Mapping[str, Raw] = ()
    node_affinity_preferred: Terms = ()
    node_affinity_required: Terms = ()
    pod_affinity_preferred: Terms = ()
    pod_affinity_required: Terms = ()
    pod_anti_affinity_preferred: Terms = ()
    pod_anti_affinity_required: Terms = ()

    ssl_secret_name: str | None = None
    """The Secret with the pod's certificates; None without ``internal_ssl``."""
    secret_mount_path: str = "/etc/jupyterhub/ssl/"  # noqa: S105 - a path


def build_pod(inputs: PodInputs) -> dict[str, Any]:
    """Return the pod's manifest. Raises ManifestError for inputs that fit into no pod."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": inputs.pod_name,
            "labels": dict(inputs.labels),
            "annotations": dict(inputs.annotations),
        },
        "spec": _overridden(_spec(inputs), inputs.extra_pod_config, "extra_pod_config"),
    }
    return checked_pod(deepcopy(pod))


def _spec(inputs: PodInputs) -> dict[str, Any]:
    return {
        "containers": [
            _overridden(_notebook(inputs), inputs.extra_container_config, "extra_container_config"),
            *api_objects(inputs.extra_containers, "extra_containers"),
        ],
        "initContainers": api_objects(inputs.init_containers, "init_containers") or None,
        "restartPolicy": "OnFailure",
        "imagePullSecrets": _pull_secrets(inputs.image_pull_secrets),
        "securityContext": pod_security_context(
            fs_gid=inputs.fs_gid,
            supplemental_gids=inputs.supplemental_gids,
            configured=inputs.pod_security_context,
        ),
        "serviceAccountName": inputs.service_account or None,
        "automountServiceAccountToken": _automount(inputs),
        "volumes": [
            *api_objects(inputs.volumes, "volumes"),
            *(mount.volume for mount in inputs.claim_mounts),
            *_certificates_volumes(inputs),
        ],
        "nodeSelector": inputs.node_selector or None,
        "tolerations": api_objects(inputs.tolerations, "tolerations") or None,
        "affinity": build_affinity(
            node_affinity_preferred=inputs.node_affinity_preferred,
            node_affinity_required=inputs.node_affinity_required,
            pod_affinity_preferred=inputs.pod_affinity_preferred,
            pod_affinity_required=inputs.pod_affinity_required,
            pod_anti_affinity_preferred=inputs.pod_anti_affinity_preferred,
            pod_anti_affinity_required=inputs.pod_anti_affinity_required,
        ),
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
        "securityContext": container_security_context(
            uid=inputs.uid,
            gid=inputs.gid,
            privileged=inputs.privileged,
            allow_privilege_escalation=inputs.allow_privilege_escalation,
            configured=inputs.container_security_context,
        ),
        "volumeMounts": [
            *api_objects(inputs.volume_mounts, "volume_mounts"),
            *(mount.mount for mount in inputs.claim_mounts),
            *_certificates_mounts(inputs),
        ],
    }


def _overridden(target: Mapping[str, Any], changes: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Replace whole top-level fields; a change to None takes the field away."""
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
    """Keep the cluster's API out of users' reach unless an account or the token was asked for.

    An account named "" is none: the cluster would take its default one.
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
