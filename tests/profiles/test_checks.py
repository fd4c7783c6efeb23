"""What could never work is refused with its place; what KubeSpawner takes is taken."""

import pytest

from k8s_hub.profiles.checks import UnusableProfiles, check, fixed_overrides, useless_slugs
from tests.profiles.samples import profiles, ruled


def option(**parts):
    return [{"display_name": "A", "profile_options": {"image": parts}}]


PLACE = "profile_list[0].profile_options.image"
UNLISTED = {"enabled": True}


@pytest.mark.parametrize(
    ("profile_list", "message"),
    [
        ("small", "profile_list: must be a list or a dictionary of profiles, not a text"),
        (["small"], "profile_list[0]: must be a dictionary, not a text"),
        ([{"display_name": "A"}, None], "profile_list[1]: must be a dictionary, not empty"),
        ({"a": {"slug": "a"}}, "profile_list.a: display_name is missing"),
        ([{"slug": "a", "display_name": None}], "profile_list[0]: display_name is missing"),
        (
            [{"display_name": "A", "kubespawner_override": ["x"]}],
            "profile_list[0].kubespawner_override: must be a dictionary, not a list",
        ),
        (
            [{"display_name": "A", "profile_options": ["x"]}],
            "profile_list[0].profile_options: must be a dictionary, not a list",
        ),
        (
            [{"display_name": "A", "profile_options": {"image": 3}}],
            f"{PLACE}: must be a dictionary, not a int",
        ),
        (option(choices=["old"]), f"{PLACE}.choices: must be a dictionary, not a list"),
        (option(choices={"old": "lab:1"}), f"{PLACE}.choices.old: must be a dictionary, not a text"),
        (
            option(choices={"old": {"kubespawner_override": "x"}}),
            f"{PLACE}.choices.old.kubespawner_override: must be a dictionary, not a text",
        ),
        (option(), f"{PLACE}: has neither choices nor an unlisted_choice that is enabled"),
        (
            option(unlisted_choice={"enabled": False}),
            f"{PLACE}: has neither choices nor an unlisted_choice that is enabled",
        ),
        (option(unlisted_choice=True), f"{PLACE}.unlisted_choice: must be a dictionary, not a bool"),
        (
            option(unlisted_choice={**UNLISTED, "validation_regex": "a("}),
            f"{PLACE}.unlisted_choice.validation_regex: 'a(' is no regular expression",
        ),
        (
            option(unlisted_choice={**UNLISTED, "validation_regex": 7}),
            f"{PLACE}.unlisted_choice.validation_regex: 7 is no regular expression",
        ),
        (
            option(unlisted_choice={**UNLISTED, "kubespawner_override": {"image": "{value"}}),
            f"{PLACE}.unlisted_choice.kubespawner_override.image: is malformed",
        ),
        (
            option(unlisted_choice={**UNLISTED, "kubespawner_override": {"image": "{}"}}),
            f"{PLACE}.unlisted_choice.kubespawner_override.image: is malformed",
        ),
        (
            [{"display_name": "A", "allowed_groups": "staff"}],
            "profile_list[0].allowed_groups: must be a list of names, not a text",
        ),
        (
            option(unlisted_choice={"enabled": True, "allowed_users": {"ada": True}}),
            f"{PLACE}.unlisted_choice.allowed_users: must be a list of names, not a dictionary",
        ),
        (option(choices={"a": {"allowed_users": [7]}}), f"{PLACE}.choices.a.allowed_users: 7 is no name"),
    ],
)
def test_what_could_never_work_is_refused_with_its_place(profile_list, message):
    with pytest.raises(UnusableProfiles) as error:
        check(profile_list)

    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    "profile_list",
    [
        [],
        {},
        profiles(),
        ruled(),
        {"b": {"display_name": "B"}, "a": {"display_name": "A"}},
        [{"display_name": "A", "profile_options": None, "kubespawner_override": None, "icon": "x.png"}],
        [{"display_name": "A", "default": True}, {"display_name": "B", "default": True}],
        [{"display_name": 7, "slug": "a"}],
        [{"display_name": "🚀"}],
        [{"display_name": "A", "kubespawner_override": {"no_such_trait": 1}}],
        option(choices={2: {}, True: {"display_name": "yes"}}),
        option(choices={"a": {}}, unlisted_choice={"validation_regex": "a("}),
    ],
)
def test_what_kubespawner_takes_is_taken(profile_list):
    check(profile_list)
    assert list(useless_slugs(profile_list)) == []


def test_of_two_profiles_with_one_slug_the_second_is_named_with_both_places():
    profiles = [{"display_name": "GPU (A100)"}, {"display_name": "x"}, {"display_name": "GPU A100"}]

    assert list(useless_slugs(profiles)) == [
        'profile_list[2]: its slug "gpu-a100" is already that of profile_list[0]; give it another'
    ]


def test_a_profile_that_nobody_could_name_is_useless_unless_it_is_the_default():
    (fault,) = useless_slugs([{"display_name": "A"}, {"display_name": "🚀"}])
    assert fault == "profile_list[1]: display_name has no letters to make a slug of; give it a slug"

    assert list(useless_slugs([{"display_name": "A"}, {"display_name": "🚀", "default": True}])) == []


def test_fixed_values_are_told_from_functions_and_what_is_merged():
    assert [path for path, _, _ in fixed_overrides([{"display_name": "A"}, profiles()[1]])] == [
        "profile_list[1].kubespawner_override.image",
        "profile_list[1].profile_options.image.choices.old.kubespawner_override.image",
        "profile_list[1].profile_options.image.choices.new.kubespawner_override.image",
    ]
    assert not list(fixed_overrides([{"display_name": "A", "kubespawner_override": {"image": print}}]))
