"""The chart's default configuration, resolved for one user, and what KubeSpawner 7.1.0 makes of it."""

import json
from dataclasses import fields, replace
from pathlib import Path

from k8s_hub.manifests.claim import ClaimInputs
from k8s_hub.manifests.metadata import MetadataInputs, annotations, claim_labels, pod_labels, shared_labels
from k8s_hub.manifests.pod import PodInputs
from k8s_hub.naming.templates import Names, expand, expand_all

DATA = Path(__file__).parent.parent / "data" / "golden"
USERNAME = "jane.doe@example.org"

NAMES = Names.of(username=USERNAME, userid=7, hub_namespace="jhub")
NAMES = replace(
    NAMES,
    pod_name=expand("jupyter-{user_server}", NAMES),
    pvc_name=expand("claim-{user_server}", NAMES),
    namespace="jhub",
)


def load(name):
    return json.loads((DATA / name).read_text())


CHART = load("chart_default_config.json")
TRAITS = CHART["KubeSpawner"]
METADATA = MetadataInputs(
    username=USERNAME,
    servername="",
    common_labels=TRAITS["common_labels"],
    component_label="singleuser-server",
    kubespawner_version="7.1.0",
    jupyterhub_version="6.1.1",
)


def traits_of(inputs_class):
    """Return the chart's values for the fields that carry a trait's name, with templates expanded."""
    names = {field.name for field in fields(inputs_class)}
    return {
        key: expand_all(value, lambda template: expand(template, NAMES))
        for key, value in TRAITS.items()
        if key in names
    }


def pod_inputs(**changed):
    env = {entry["name"]: entry["value"] for entry in load("golden_pod.json")["spec"]["containers"][0]["env"]}
    # The chart's init container is an object of the client library, which the spawner's edge serialises.
    serialised = [container["value"] for container in TRAITS["init_containers"]]
    return PodInputs(
        **{
            **traits_of(PodInputs),
            "pod_name": NAMES.pod_name,
            "cmd": [CHART["Spawner"]["cmd"]],
            "env": dict(reversed(env.items())),
            "mem_guarantee": 1024**3,
            "init_containers": serialised,
            "labels": pod_labels(METADATA, shared_labels(METADATA, TRAITS["extra_labels"])),
            "annotations": annotations(METADATA, TRAITS["extra_annotations"]),
            **changed,
        }
    )


def claim_inputs(**changed):
    return ClaimInputs(
        **{
            **traits_of(ClaimInputs),
            "pvc_name": NAMES.pvc_name,
            "labels": claim_labels(METADATA, shared_labels(METADATA, TRAITS["storage_extra_labels"])),
            "annotations": annotations(METADATA, {}),
            **changed,
        }
    )
