from kubernetes_asyncio import client

from k8s_hub.spawner.models import to_json, to_model

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
