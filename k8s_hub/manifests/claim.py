"""Manifests of claims, and their volumes and mounts in a pod."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k8s_hub.manifests.casing import without_nulls
from k8s_hub.manifests.checks import checked
from k8s_hub.manifests.metadata import object_metadata

_LEGACY_STORAGE_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimInputs:
    """Resolved values of KubeSpawner's traits of the same names."""

    pvc_name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    storage_capacity: str | None = None
    storage_access_modes: Sequence[str] | None = ("ReadWriteOnce",)
    storage_class: str | None = None
    """None is the cluster's default class; the empty string is no class: only an existing volume can be bound."""
    storage_selector: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimMount:
    """A claim that the notebook container mounts in addition to ``volumes`` and ``volume_mounts``."""

    volume_name: str
    claim_name: str
    mount_path: str
    sub_path: str = ""
    read_only: bool = False

    @property
    def volume(self) -> dict[str, Any]:
        """The pod's volume."""
        return {"name": self.volume_name, "persistentVolumeClaim": {"claimName": self.claim_name}}

    @property
    def mount(self) -> dict[str, Any]:
        """The container's mount."""
        more = {"subPath": self.sub_path or None, "readOnly": self.read_only or None}
        return {"name": self.volume_name, "mountPath": self.mount_path, **without_nulls(more)}


def build_claim(inputs: ClaimInputs) -> dict[str, Any]:
    """Return the claim's manifest; raise ManifestError for invalid inputs."""
    modes = None if inputs.storage_access_modes is None else list(inputs.storage_access_modes)
    # Provisioners that only know the old spelling of the class are still around.
    old_spelling = without_nulls({_LEGACY_STORAGE_CLASS_ANNOTATION: inputs.storage_class})
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": object_metadata(inputs.pvc_name, inputs.labels, {**inputs.annotations, **old_spelling}),
        "spec": without_nulls(
            {
                "accessModes": modes,
                "resources": {"requests": without_nulls({"storage": inputs.storage_capacity})},
                "storageClassName": inputs.storage_class,
                "selector": inputs.storage_selector or None,
            }
        ),
    }
    return checked(claim)
