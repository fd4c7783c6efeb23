"""Slugs and defaults, as KubeSpawner fills them in."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubespawner import KubeSpawner as Theirs

from k8s_hub.profiles.listing import Person, copied, has_rules, in_order, initialised, may_choose, offered
from tests.profiles.samples import ADA, BOB, profiles, ruled


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


CAROL = Person(name="carol")


@pytest.mark.parametrize(
    ("rules", "ada", "bob"),
    [
        ({}, True, True),
        ({"access": None}, True, True),
        ({"access": {"groups": ["staff", "guests"]}}, False, True),
        ({"access": {"users": ["ada"]}}, True, False),
        ({"access": {"users": ["ada"], "groups": ["staff"]}}, True, True),
        ({"access": {"users": ["ada"], "groups": None}}, True, False),
        ({"access": {"users": []}}, False, False),
        ({"access": {"groups": []}}, False, False),
        ({"access": {"users": ["ad"], "groups": ["sta"]}}, False, False),
    ],
)
def test_rules_name_those_who_may(rules, ada, bob):
    assert (may_choose(rules, ADA), may_choose(rules, BOB)) == (ada, bob)


@pytest.mark.parametrize("key", ["allowed_groups", "allowed_users"])
def test_keys_that_administrators_functions_have_restrict_nothing(key):
    foreign = initialised([{"display_name": "A", key: ["nobody"]}])

    assert not has_rules(foreign)
    assert [profile[key] for profile in offered(foreign, ADA)] == [["nobody"]]


def test_each_person_is_offered_what_is_for_them():
    slugs = {
        person.name: [profile["slug"] for profile in offered(initialised(ruled()), person)]
        for person in (ADA, BOB, CAROL)
    }

    assert slugs == {"ada": ["adas", "shared"], "bob": ["staff", "shared"], "carol": ["shared"]}


def test_the_default_is_among_what_is_offered():
    offer = offered(initialised(ruled()), CAROL)

    assert [profile["slug"] for profile in offer if profile.get("default")] == ["shared"]
    size = offer[0]["profile_options"]["size"]
    assert {key for key, choice in size["choices"].items() if choice.get("default")} == {"tiny"}


def test_an_option_without_anything_left_is_none():
    (shared,) = offered(initialised(ruled()), CAROL)

    assert list(shared["profile_options"]) == ["size", "secret"]
    (ada_shared,) = [profile for profile in offered(initialised(ruled()), ADA) if profile["slug"] == "shared"]
    assert list(ada_shared["profile_options"]) == ["size"]


def test_an_unlisted_choice_for_others_is_disabled():
    def unlisted(person):
        shared = next(p for p in offered(initialised(ruled()), person) if p["slug"] == "shared")
        return shared["profile_options"]["size"]["unlisted_choice"]["enabled"]

    assert (unlisted(ADA), unlisted(BOB)) == (False, True)


def test_templates_are_not_told_who_else_may():
    assert "access" not in str(offered(initialised(ruled()), BOB))


def test_without_rules_everything_is_offered_as_it_is():
    everything = initialised(profiles())

    assert offered(everything, ADA) == everything
    assert not has_rules(everything)
    assert has_rules(ruled())
