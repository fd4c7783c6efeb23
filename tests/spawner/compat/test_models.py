import logging

import pytest
from kubernetes_asyncio import client
from traitlets.config import Config

from devkit.testing.bare import bare_spawner
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


def configured(container):
    return Config({"KubeSpawner": {"init_containers": [container], "volumes": {"a": {"name": "a"}}}})


def test_spawners_have_containers_of_their_own_and_share_what_the_library_configures():
    config = configured(
        client.V1Container(name="a", security_context=client.V1SecurityContext(run_as_user=0))
    )
    one, other = (bare_spawner(config=config).init_containers[0] for _ in range(2))
    one.security_context.run_as_user = 5
    assert other.security_context.run_as_user == 0
    assert one.local_vars_configuration is other.local_vars_configuration
    assert one.security_context.local_vars_configuration is other.security_context.local_vars_configuration
    with pytest.raises(ValueError, match="`name`"):
        one.name = None  # the library still validates


def test_a_spawner_does_not_empty_the_caches_of_loggers():
    config = configured(client.V1Container(name="a"))
    bare_spawner(config=config)
    logger = logging.getLogger("tests.cached")
    logger.isEnabledFor(logging.INFO)
    bare_spawner(config=config)
    assert logging.INFO in logger._cache


def test_an_administrators_own_configuration_of_a_model_stays():
    lax = client.Configuration()
    lax.client_side_validation = False
    config = configured(client.V1Container(name=None, local_vars_configuration=lax))
    (container,) = bare_spawner(config=config).init_containers
    container.name = None
    assert not container.local_vars_configuration.client_side_validation
