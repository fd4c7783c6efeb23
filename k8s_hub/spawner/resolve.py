"""Turns a spawner's options into names and the inputs of manifests: expands templates and awaits callables.

Reads each option once, and only when it is needed: an administrator's function may change the options that
follow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jupyterhub import __version__ as jupyterhub_version
from jupyterhub.utils import maybe_future

from k8s_hub.claims.extra import KEEP_ANNOTATION, ExtraClaim, parse_extra_claims
from k8s_hub.claims.saved_state import COMPATIBLE_VERSION
from k8s_hub.kube.core.resources import SECRETS
from k8s_hub.manifests import metadata
from k8s_hub.manifests.claim import ClaimInputs, ClaimMount, build_claim
from k8s_hub.manifests.owned import (
    build_secret,
    build_service,
    certificate_files,
    environment_secret_name,
)
from k8s_hub.manifests.pod import PodInputs
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION
from k8s_hub.naming.templates import expand_dns_name, expand_host, in_setting
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.compat.models import to_json
from k8s_hub.spawner.credentials import read_certificates
from k8s_hub.spawner.failures import administrators_code
from k8s_hub.spawner.owned_objects import OwnedObject

_AS_THEY_ARE = (
    "image",
    "image_pull_policy",
    "image_pull_secrets",
    "port",
    "privileged",
    "allow_privilege_escalation",
    "automount_service_account_token",
    "cpu_limit",
    "cpu_guarantee",
    "mem_limit",
    "mem_guarantee",
    "extra_resource_limits",
    "extra_resource_guarantees",
    "lifecycle_hooks",
    "extra_container_config",
    "secret_mount_path",
    "scheduler_name",
    "priority_class_name",
    "node_selector",
    "tolerations",
    "node_affinity_preferred",
    "node_affinity_required",
    "pod_affinity_preferred",
    "pod_affinity_required",
    "pod_anti_affinity_preferred",
    "pod_anti_affinity_required",
)
"""Options that are inputs of the pod without a change."""

_POD_TEMPLATES = (
    "working_dir",
    "service_account",
    "volumes",
    "volume_mounts",
    "init_containers",
    "extra_containers",
    "extra_pod_config",
)
"""Options that are inputs of the pod once their templates are expanded."""

EXPANDED_LATER = frozenset(
    {
        *_POD_TEMPLATES,
        "default_url",
        "dns_name_template",
        "environment",
        "extra_annotations",
        "extra_claims",
        "extra_labels",
        "notebook_dir",
        "pod_connect_ip",
        "pod_name_template",
        "pvc_name_template",
        "secret_name_template",
        "slow_spawn_message",
        "storage_extra_annotations",
        "storage_extra_labels",
        "storage_selector",
        "user_namespace_annotations",
        "user_namespace_labels",
        "user_namespace_template",
    }
)
"""Settings that hold templates, ours or the hub's: a user's text in them must not act as a template."""

_MAY_BE_CALLABLE = (
    "uid",
    "gid",
    "fs_gid",
    "supplemental_gids",
    "container_security_context",
    "pod_security_context",
)
"""Options that are inputs of the pod, or functions (spawner) that return one."""


_DICTIONARIES = frozenset(
    {
        "common_labels",
        "extra_labels",
        "extra_annotations",
        "storage_extra_labels",
        "storage_extra_annotations",
        "user_namespace_labels",
        "user_namespace_annotations",
        "extra_resource_limits",
        "extra_resource_guarantees",
        "extra_container_config",
        "extra_pod_config",
    }
)
"""Options that a subclass may have set to None or an empty list, past the trait."""


def _option(spawner: Any, name: str) -> Any:
    value = getattr(spawner, name)
    return {} if name in _DICTIONARIES and not value else value


def metadata_inputs(spawner: Any) -> metadata.MetadataInputs:
    """Return the inputs of the labels and annotations of all objects of a spawner's server."""
    return metadata.MetadataInputs(
        username=spawner.user.name,
        servername=spawner.name,
        common_labels=_option(spawner, "common_labels"),
        component_label=spawner.component_label,
        kubespawner_version=COMPATIBLE_VERSION,
        jupyterhub_version=jupyterhub_version,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """Makes names and the inputs of manifests from a spawner's options; subclasses of the spawner may override each step."""

    #: Has the options as attributes; callables get it as their argument.
    spawner: Any
    #: The steps: expand one template, expand all in nested lists and dictionaries, build labels and annotations.
    expand: Callable[[str], str]
    expand_all: Callable[[Any], Any]
    common_labels: Callable[[dict[str, str]], dict[str, str]]
    pod_labels: Callable[[dict[str, str]], dict[str, str]]
    annotations: Callable[[dict[str, str]], dict[str, str]]

    def expanded(self, name: str) -> Any:
        """Return an option with all its templates expanded."""
        with in_setting(name):
            return self.expand_all(_option(self.spawner, name))

    def name_by(self, setting: str) -> str:
        """Return the name that a setting's template gives; a TemplateError names the setting."""
        with in_setting(setting):
            return self.expand(getattr(self.spawner, setting))

    def dns_name(self) -> str:
        """Return the DNS name that the template gives."""
        spawner = self.spawner
        with in_setting("dns_name_template"):
            return expand_dns_name(
                spawner.dns_name_template, name=spawner.service_name, namespace=spawner.namespace
            )

    def connect_host(self) -> str:
        """Return the host by which the hub reaches the pod; empty if none is configured."""
        with in_setting("pod_connect_ip"):
            return expand_host(self.spawner.pod_connect_ip, self.expand)

    async def pod_inputs(self) -> PodInputs:
        """Resolve all inputs of the pod's manifest."""
        spawner = self.spawner
        return PodInputs(
            pod_name=spawner.pod_name,
            ssl_secret_name=spawner.secret_name if spawner.internal_ssl else None,
            cmd=self._command(),
            env=_as_json("environment", spawner.get_env()),
            labels=self.pod_labels(self.expanded("extra_labels")),
            annotations=self.annotations(self.expanded("extra_annotations")),
            **{name: _as_json(name, _option(spawner, name)) for name in _AS_THEY_ARE},
            **{name: _as_json(name, self.expanded(name)) for name in _POD_TEMPLATES},
            **{name: await self._called(name) for name in _MAY_BE_CALLABLE},
            claim_mounts=self.claim_mounts(),
        )

    def claim_mounts(self) -> list[ClaimMount]:
        """Return the mounts of the extra claims: of the found claims, else of the names from the templates."""
        with in_setting("extra_claims"):
            return [
                ClaimMount(
                    volume_name=extra.volume_name,
                    claim_name=self.spawner.extra_claim_names.get(extra.name)
                    or self.expand(extra.name_template),
                    mount_path=self.expand(extra.mount_path),
                    sub_path=self.expand(extra.sub_path),
                    read_only=extra.read_only,
                )
                for extra in parse_extra_claims(self.spawner.extra_claims)
            ]

    def claim_inputs(self) -> ClaimInputs:
        """Resolve all inputs of the home claim's manifest."""
        spawner = self.spawner
        shared = self.common_labels(self.expanded("storage_extra_labels"))
        return ClaimInputs(
            pvc_name=spawner.pvc_name,
            labels=metadata.claim_labels(metadata_inputs(spawner), shared),
            annotations=self.annotations(self.expanded("storage_extra_annotations")),
            storage_capacity=spawner.storage_capacity,
            storage_class=spawner.storage_class,
            storage_access_modes=spawner.storage_access_modes,
            storage_selector=self.expanded("storage_selector"),
        )

    def extra_claim(self, extra: ExtraClaim, name: str) -> Raw:
        """Return the extra claim to create."""
        home = self.claim_inputs()
        return build_claim(
            ClaimInputs(
                pvc_name=name,
                labels=home.labels,
                annotations={
                    **home.annotations,
                    EXTRA_CLAIM_ANNOTATION: extra.name,
                    KEEP_ANNOTATION: str(extra.keep),
                },
                storage_capacity=extra.capacity,
                storage_class=extra.storage_class,
                storage_access_modes=extra.access_modes,
            )
        )

    def certificate_secret(self) -> Raw:
        """Return the Secret with the certificates."""
        spawner = self.spawner
        certificates = read_certificates(spawner.cert_paths, spawner.internal_trust_bundles["hub-ca"])
        return self._secret(spawner.secret_name, certificate_files(certificates))

    def environment_secret(self, content: Mapping[str, str]) -> list[OwnedObject]:
        """Return the Secret of the pod's secret variables; an empty list if the pod has none."""
        if not content:
            return []
        name = environment_secret_name(self.spawner.pod_name)
        return [OwnedObject(resource=SECRETS, manifest=self._secret(name, content))]

    def service(self, port: int) -> Raw:
        """Return the Service that leads to the pod."""
        return build_service(
            self.spawner.service_name,
            port=port,
            selector=self.pod_labels(self.expanded("extra_labels")),
            **self._labels_and_annotations(),
        )

    def namespace(self) -> Raw:
        """Return the namespace to create for the user."""
        labels, annotations = map(self.expanded, ("user_namespace_labels", "user_namespace_annotations"))
        return metadata.build_namespace(self.spawner.namespace, labels, annotations)

    def _secret(self, name: str, content: Mapping[str, str]) -> Raw:
        return build_secret(name, content, **self._labels_and_annotations())

    def _labels_and_annotations(self) -> dict[str, Any]:
        return {
            "labels": self.common_labels(self.expanded("extra_labels")),
            "annotations": self.annotations(self.expanded("extra_annotations")),
        }

    def _command(self) -> list[str] | None:
        spawner = self.spawner
        arguments: list[str] = spawner.get_args()
        if spawner.cmd:
            return [*spawner.cmd, *arguments]
        if arguments:
            spawner.log.warning(
                "%s: ignored the arguments because KubeSpawner.cmd is not set", spawner.user.name
            )
        return None

    async def _called(self, name: str) -> Any:
        value = getattr(self.spawner, name)
        if not callable(value):
            return value
        with administrators_code(f"KubeSpawner.{name}"):
            return await maybe_future(value(self.spawner))


def _as_json(name: str, value: Any) -> Any:
    with in_setting(name):
        return to_json(value)
