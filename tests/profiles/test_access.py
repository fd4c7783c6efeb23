"""Groups and users of profiles, options, choices and unlisted choices."""

import pytest

from k8s_hub.profiles.access import Person, has_rules, may_choose, offered
from k8s_hub.profiles.listing import initialised
from tests.profiles.samples import ADA, BOB, profiles, ruled

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
