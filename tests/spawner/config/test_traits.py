"""Configuration: the spawner accepts all that the chart sets, and an error about a wrong value names its key."""

import inspect

import pytest
import traitlets
from kubernetes_asyncio import client
from traitlets.config import Config

from devkit.differential import peers
from devkit.testing.bare import bare_spawner
from k8s_hub import KubeSpawner
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
        ("node_selector", ["a"]),
        ("profile_list", 7),
        ("slow_spawn_message", "{minutes} minutes so far"),
    ],
)
async def test_a_wrong_value_is_refused_with_its_key_and_what_it_was(trait, value):
    with pytest.raises(traitlets.TraitError) as refusal:
        bare_spawner(config=Config({"KubeSpawner": {trait: value}}))

    assert trait in str(refusal.value)
    assert repr(value) in str(refusal.value)


WRONG = [
    *("lots", "", "5 GB", "infG", "nanG", b"2G", 5, -1, 1.5, float("inf"), True, None, object(), print),
    *([], ["x"], [5], (1, 2), {1, 2}, {}, {"a": 1}, {5: "x"}),
]


@pytest.mark.parametrize("trait", sorted(KubeSpawner.class_traits(config=True)))
async def test_an_option_that_refuses_a_value_is_named(trait):
    for value in WRONG:
        try:
            bare_spawner(config=Config({"KubeSpawner": {trait: value}}))
        except (traitlets.TraitError, ValueError) as refusal:  # the latter for settings that contradict
            assert trait in str(refusal)  # noqa: PT017 - many values are usable


def a_function(spawner):
    return []


CANDIDATES = [
    *(None, "", "a", "{username}", 0, 1, -1, True, False, 1.5, ("a",), a_function),
    *([], ["a"], ["a", "b"], [{}], [{"name": "a"}], [1]),
    *({}, {"a": "b"}, {"a": {"name": "x"}}, {"a": 1}),
]
DIFFERENT = {
    "port": "0 is 8888 at any time, not only at first",
    "profile_list": "profiles without a name are refused",
    "slow_spawn_message": "fields that it cannot fill in are refused",
    "slow_spawn_message_frequency": "None is a pace of its own",
    "storage_capacity": "what is no quantity is refused",
}


def taken(spawner, trait, value):
    """Return what becomes of a value."""
    try:
        setattr(spawner, trait, value)
    except (traitlets.TraitError, TypeError, KeyError):  # the last since Python 3.12: a dict that is sliced
        return "refused"
    return getattr(spawner, trait)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:kubespawner")
@pytest.mark.parametrize("trait", sorted(peers.Theirs.class_traits(config=True)))
async def test_an_option_takes_the_values_that_it_takes_in_kubespawner(trait):
    theirs, ours = ([taken(made, trait, value) for value in CANDIDATES] for made in map(peer, SIDES))

    assert (theirs != ours) == (trait in DIFFERENT)


SIDES = (peers.Theirs, peers.Ours)


def peer(spawner_class):
    return peers.made(spawner_class, {"username": "ada"})


async def test_options_have_the_values_that_they_have_in_kubespawner():
    theirs, ours = map(peer, SIDES)

    different = {
        name
        for name in peers.Theirs.class_traits(config=True)
        if getattr(theirs, name) != getattr(ours, name) and name != "options_from_form"
    }

    assert different == {"delete_pvc", "slow_spawn_message", "slow_spawn_message_frequency"}
    assert theirs.options_from_form({}) == ours.options_from_form({}) == {}


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


@pytest.mark.parametrize("trait", sorted(KubeSpawner.class_trait_names(config=True)))
async def test_what_code_appends_to_an_option_stays_with_its_spawner(trait):
    ada, bob = bare_spawner("ada"), bare_spawner("bob")

    assert not isinstance(getattr(ada, trait), list | dict) or getattr(ada, trait) is not getattr(bob, trait)


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
        if group.__module__.startswith(("k8s_hub.spawner.config", "k8s_hub.spawner.compat.renamed_traits"))
        for trait in group.class_own_traits(config=True).values()
    ]

    assert inherited
    assert [trait.name for trait in (*own.values(), *inherited) if not trait.help.strip()] == []


def test_files_are_never_removed_by_default():
    assert KubeSpawner.delete_pvc.default_value is False


async def test_the_name_of_one_pull_secret_is_a_list_of_it():
    assert bare_spawner(image_pull_secrets="regcred").image_pull_secrets == [{"name": "regcred"}]


async def test_port_zero_is_the_usual_one():
    assert bare_spawner(port=0).port == 8888
