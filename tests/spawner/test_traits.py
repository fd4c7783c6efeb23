"""Configuration: what the chart sets is taken, and a wrong value is named with its key."""

import inspect

import pytest
import traitlets
from kubernetes_asyncio import client
from traitlets.config import Config

from k8s_hub import KubeSpawner
from tests.spawner.bare import bare_spawner
from tests.spawner.test_resolve import golden


@pytest.mark.parametrize(
    ("trait", "value"),
    [
        ("storage_capacity", "ten gigabytes"),
        ("image_pull_policy", 7),
        ("uid", "root"),
        ("slug_scheme", "snake"),
        ("extra_labels", ["a"]),
        ("delete_grace_period", "soon"),
        ("modify_pod_hook", "not a function"),
        ("environment", ["A=1"]),
    ],
)
async def test_a_wrong_value_is_refused_with_its_key(trait, value):
    with pytest.raises(traitlets.TraitError, match=trait):
        bare_spawner(config=Config({"KubeSpawner": {trait: value}}))


async def test_every_trait_of_the_chart_exists():
    chart = golden("chart_default_config")["KubeSpawner"]

    assert chart.keys() <= set(KubeSpawner.class_trait_names(config=True))


async def test_the_chart_can_append_to_lists_that_were_never_set():
    config = Config()
    config.KubeSpawner.init_containers.append(client.V1Container(name="first"))
    config.KubeSpawner.node_affinity_preferred.append({"weight": 1})
    config.KubeSpawner.node_affinity_required.append({"matchExpressions": []})
    spawner = bare_spawner(config=config)

    assert [container.name for container in spawner.init_containers] == ["first"]
    assert spawner.node_affinity_preferred == [{"weight": 1}]
    assert spawner.node_affinity_required == [{"matchExpressions": []}]


async def test_a_subclass_is_configured_under_its_own_name_and_its_parents():
    class Ours(KubeSpawner):
        pass

    config = Config({"KubeSpawner": {"image": "one"}, "Ours": {"working_dir": "/work"}})
    spawner = bare_spawner(spawner_class=Ours, config=config)

    assert (spawner.image, spawner.working_dir) == ("one", "/work")


async def test_a_group_of_traits_is_no_section_of_its_own():
    spawner = bare_spawner(config=Config({"StorageTraits": {"storage_capacity": "1Gi"}}))

    assert spawner.storage_capacity is None


def test_every_trait_has_a_help_text():
    own = KubeSpawner.class_own_traits(config=True)
    inherited = [
        trait
        for group in inspect.getmro(KubeSpawner)
        if group.__module__.startswith("k8s_hub.spawner.traits")
        for trait in group.class_own_traits(config=True).values()
    ]

    assert inherited
    assert [trait.name for trait in (*own.values(), *inherited) if not trait.help.strip()] == []


def test_files_are_never_removed_by_default():
    assert KubeSpawner.delete_pvc.default_value is False
