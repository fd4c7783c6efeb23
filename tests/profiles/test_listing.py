"""Slugs and defaults, as KubeSpawner fills them in."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubespawner import KubeSpawner as Theirs

from k8s_hub.profiles.listing import copied, in_order, initialised
from tests.profiles.samples import profiles


def as_upstream(profile_list):
    return Theirs._get_initialized_profile_list(SimpleNamespace(), profile_list)


def test_slugs_and_defaults_are_those_of_kubespawner():
    assert initialised(profiles()) == as_upstream(profiles())


_override = st.dictionaries(st.sampled_from(["image", "mem_limit"]), st.text(max_size=5))
_choices = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.fixed_dictionaries(
        {}, optional={"display_name": st.text(), "default": st.booleans(), "kubespawner_override": _override}
    ),
    max_size=3,
)
_unlisted = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "display_name_in_choices": st.text(),
        "kubespawner_override": _override,
    },
)
_options = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.fixed_dictionaries({}, optional={"choices": _choices, "unlisted_choice": _unlisted}),
    max_size=3,
)
_profiles = st.lists(
    st.fixed_dictionaries(
        {"display_name": st.text()},
        optional={
            "slug": st.text(),
            "default": st.booleans(),
            "profile_options": _options,
            "description": st.text(),
        },
    ),
    max_size=4,
)


@given(_profiles)
def test_any_list_is_initialised_as_kubespawner_does(profile_list):
    before = copied(profile_list)

    assert initialised(profile_list) == as_upstream(profile_list)
    assert profile_list == before


def test_a_dictionary_of_profiles_is_read_in_the_order_of_its_keys():
    assert in_order({"b": 1, "a": 2}) == [2, 1]
    assert in_order({10: 1, 9: 2}) == [2, 1]
    assert in_order({"b": 1, 9: 2, 10: 3}) == [3, 2, 1]


def test_what_is_empty_counts_as_not_given():
    (profile,) = initialised([{"display_name": "A b", "slug": None, "profile_options": None}])
    (with_option,) = initialised([{"display_name": "A", "profile_options": {"o": {"unlisted_choice": None}}}])

    assert profile["slug"] == "a-b"
    assert with_option["profile_options"] == {"o": {"unlisted_choice": {"enabled": False}}}


def test_options_are_called_by_texts_as_forms_and_the_api_call_them():
    (profile,) = initialised(
        [{"display_name": "A", "profile_options": {1: {"choices": {2: {}}}, None: {"choices": {"a": {}}}}}]
    )
    assert list(profile["profile_options"]) == ["1", "None"]
    assert list(profile["profile_options"]["1"]["choices"]) == [2]


def test_functions_and_models_are_shared_and_containers_are_not():
    class Model:
        def __deepcopy__(self, memo):
            raise AssertionError

    model, items = Model(), [1]
    copy = copied({"f": print, "model": model, "items": items, "set": {1}})

    assert copy == {"f": print, "model": model, "items": [1], "set": {1}}
    assert copy["items"] is not items


@pytest.mark.parametrize("name", ["Größe L", "用户", "a--b", "R & Python!"])
def test_slugs_of_names_in_any_script_are_those_of_kubespawner(name):
    assert initialised([{"display_name": name}]) == as_upstream([{"display_name": name}])
