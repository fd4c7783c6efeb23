"""Labels and annotations, which show the owner of an object to ``kubectl``, network policies and hubs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from k8s_hub.manifests.checks import checked
from k8s_hub.naming import slugs
from k8s_hub.naming.ownership import SERVERNAME_ANNOTATION, USERNAME_ANNOTATION

USERNAME_LABEL = "hub.jupyter.org/username"
SERVERNAME_LABEL = "hub.jupyter.org/servername"
COMPONENT_LABEL = "app.kubernetes.io/component"
LEGACY_COMPONENT_LABEL = "component"
CLAIM_COMPONENT = "singleuser-storage"

KUBESPAWNER_VERSION_ANNOTATION = "hub.jupyter.org/kubespawner-version"
JUPYTERHUB_VERSION_ANNOTATION = "hub.jupyter.org/jupyterhub-version"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataInputs:
    """The inputs for labels and annotations of one server's objects."""

    username: str
    servername: str
    common_labels: Mapping[str, str]
    component_label: str
    kubespawner_version: str
    """The version of KubeSpawner that the objects are compatible with."""
    jupyterhub_version: str


def shared_labels(inputs: MetadataInputs, extra_labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of every object; ``common_labels`` override the extra ones."""
    return {USERNAME_LABEL: slugs.label(inputs.username), **extra_labels, **inputs.common_labels}


def pod_labels(inputs: MetadataInputs, shared: Mapping[str, str]) -> dict[str, str]:
    """Add the labels by which watches, Services and network policies select a pod."""
    return {
        **shared,
        COMPONENT_LABEL: inputs.component_label,
        LEGACY_COMPONENT_LABEL: inputs.component_label,
        SERVERNAME_LABEL: slugs.label(inputs.servername),
    }


def claim_labels(inputs: MetadataInputs, shared: Mapping[str, str]) -> dict[str, str]:
    """Add a claim's labels. Its two component labels differ, as in KubeSpawner."""
    return {
        **shared,
        COMPONENT_LABEL: inputs.component_label,
        LEGACY_COMPONENT_LABEL: CLAIM_COMPONENT,
    }


def annotations(inputs: MetadataInputs, extra_annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the annotations of every object, with the unescaped names of user and server; extra ones override."""
    servername = {SERVERNAME_ANNOTATION: inputs.servername} if inputs.servername else {}
    return {
        USERNAME_ANNOTATION: inputs.username,
        **servername,
        KUBESPAWNER_VERSION_ANNOTATION: inputs.kubespawner_version,
        JUPYTERHUB_VERSION_ANNOTATION: inputs.jupyterhub_version,
        **extra_annotations,
    }


def build_namespace(name: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, Any]:
    """Return the namespace's manifest."""
    return checked({"metadata": object_metadata(name, labels, annotations)})


def object_metadata(name: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata of a new object."""
    return {"name": name, "labels": dict(labels), "annotations": dict(annotations)}
