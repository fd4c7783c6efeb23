import pytest
from kubernetes_asyncio import client

from k8s_hub.manifests.casing import ManifestError
from k8s_hub.spawner.compat.models import to_json, to_model

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "jupyter-ada", "annotations": {"hub.jupyter.org/username": "ada"}},
    "spec": {"containers": [{"name": "notebook", "args": ["jupyterhub-singleuser"]}], "hostIPC": True},
}


async def test_a_manifest_survives_the_way_to_a_model_and_back():
    pod = to_model(POD, "V1Pod")

    assert isinstance(pod, client.V1Pod)
    assert pod.spec.host_ipc is True
    assert to_json(pod) == POD


async def test_models_within_lists_and_dicts_become_json():
    container = client.V1Container(name="init", image_pull_policy="Always")

    assert to_json([{"a": container}, 1, None, "x"]) == [
        {"a": {"name": "init", "imagePullPolicy": "Always"}},
        1,
        None,
        "x",
    ]


async def test_models_go_as_deep_as_kubespawners_and_nothing_below_is_lost():
    pod = to_model(
        {
            "metadata": {"name": "jupyter-ada"},
            "spec": {
                "containers": [
                    {
                        "name": "notebook",
                        "env": [{"name": "A", "valueFrom": {"newSource": {"key": None}}}],
                        "resources": {"limits": {"cpu": 0.5}},
                        "securityContext": {"runAsUser": 1},
                    },
                    {"name": "side", "env": [{"name": "B", "value": "b"}]},
                ],
                "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "claim-ada"}}],
            },
        },
        "V1Pod",
    )

    notebook, side = pod.spec.containers
    assert notebook.env[0].value_from == {"newSource": {"key": None}}
    assert notebook.resources.limits == {"cpu": 0.5}
    assert notebook.security_context == {"runAsUser": 1}
    assert side.env[0] == {"name": "B", "value": "b"}
    assert pod.spec.volumes[0].persistent_volume_claim == {"claimName": "claim-ada"}


async def test_a_field_that_the_models_do_not_have_is_named_and_not_lost():
    with pytest.raises(
        ManifestError, match="V1Container of the installed kubernetes_asyncio has no field 'newest'"
    ):
        to_model({"spec": {"containers": [{"name": "notebook", "newest": 1}]}}, "V1Pod")
