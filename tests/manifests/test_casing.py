"""The rule for keys is compared with the attribute_map of every model that KubeSpawner builds from config."""

import pytest
from kubernetes_asyncio.client import models

from k8s_hub.manifests.casing import ManifestError, api_object, api_objects, camel_case

CONFIGURED_MODELS = [
    models.V1Container,
    models.V1EnvVar,
    models.V1Lifecycle,
    models.V1LocalObjectReference,
    models.V1NodeSelectorTerm,
    models.V1PodAffinityTerm,
    models.V1PodSpec,
    models.V1PreferredSchedulingTerm,
    models.V1Toleration,
    models.V1Volume,
    models.V1VolumeMount,
    models.V1WeightedPodAffinityTerm,
]


@pytest.mark.parametrize("model", CONFIGURED_MODELS)
def test_each_attribute_of_the_client_library_becomes_its_field(model):
    assert {attribute: camel_case(attribute) for attribute in model.attribute_map} == model.attribute_map


@pytest.mark.parametrize("model", CONFIGURED_MODELS)
def test_the_apis_own_spelling_stays(model):
    assert [camel_case(field) for field in model.attribute_map.values()] == list(model.attribute_map.values())


def test_only_the_first_level_is_renamed():
    container = {"security_context": {"run_as_user": 0}, "name": "side_car"}
    assert api_object(container, "extra_containers[0]") == {
        "securityContext": {"run_as_user": 0},
        "name": "side_car",
    }


def test_keys_without_a_value_are_left_out():
    assert api_object({"name": "home", "sub_path": None}, "volume_mounts[0]") == {"name": "home"}


def test_a_dict_of_objects_is_a_list_in_the_order_of_its_keys():
    assert api_objects({"20-b": {"name": "b"}, "10-a": {"name": "a"}}, "volumes") == [
        {"name": "a"},
        {"name": "b"},
    ]


def test_nothing_is_an_empty_list():
    assert api_objects(None, "volumes") == api_objects([], "volumes") == api_objects({}, "volumes") == []


@pytest.mark.parametrize(
    "value, named",
    [
        (["home"], r"^volumes\[0\] must be a dictionary, not a string$"),
        ([{}, None], r"^volumes\[1\] must be a dictionary, not nothing$"),
        ({"home": ["x"]}, r"^volumes\['home'\] must be a dictionary, not a list$"),
        ("home", "^volumes must be a list of dictionaries, or a dictionary of them, not a string$"),
        (7, "^volumes must be a list of dictionaries, or a dictionary of them, not a number$"),
        (True, "^volumes must be .*, not true or false$"),
        ({"home"}, "^volumes must be .*, not a value of type set$"),
    ],
)
def test_what_is_no_object_is_refused_by_name_without_showing_it(value, named):
    with pytest.raises(ManifestError, match=named):
        api_objects(value, "volumes")
