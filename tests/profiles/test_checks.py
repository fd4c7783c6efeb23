"""What could never work is left out with its place; what KubeSpawner takes is taken."""

import pytest

from k8s_hub.profiles.checks import (
    UnusableProfiles,
    fixed_overrides,
    foreign_rules,
    overrides_too_late,
    unknown_overrides,
    usable,
    useless_slugs,
)
from k8s_hub.profiles.listing import in_order
from tests.profiles.samples import profiles, ruled


def placed(profile_list):
    return usable(profile_list)[0]


def option(**parts):
    return [{"display_name": "A", "profile_options": {"image": parts}}]


PLACE = "profile_list[0].profile_options.image"
UNLISTED = {"enabled": True}


@pytest.mark.parametrize(
    ("profile_list", "message"),
    [
        (["small"], "profile_list[0]: must be a dictionary, not a string"),
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
            f"{PLACE}: must be a dictionary, not a number",
        ),
        (option(choices=["old"]), f"{PLACE}.choices: must be a dictionary, not a list"),
        (option(choices={"old": "lab:1"}), f"{PLACE}.choices.old: must be a dictionary, not a string"),
        (
            option(choices={"old": {"kubespawner_override": "x"}}),
            f"{PLACE}.choices.old.kubespawner_override: must be a dictionary, not a string",
        ),
        (option(unlisted_choice=True), f"{PLACE}.unlisted_choice: must be a dictionary, not true or false"),
        (
            option(unlisted_choice={**UNLISTED, "validation_regex": "a("}),
            f"{PLACE}.unlisted_choice.validation_regex: 'a(' is not a regular expression",
        ),
        (
            option(unlisted_choice={**UNLISTED, "validation_regex": 7}),
            f"{PLACE}.unlisted_choice.validation_regex: 7 is not a regular expression",
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
            [{"display_name": "A", "kubespawner_override": {7: "x"}}],
            "profile_list[0].kubespawner_override: 7 is not an option of the spawner",
        ),
        (
            [{"display_name": "A", "access": ["staff"]}],
            "profile_list[0].access: must be a dictionary, not a list",
        ),
        (
            [{"display_name": "A", "access": {"groups": "staff"}}],
            "profile_list[0].access.groups: must be a list of names, not a string",
        ),
        (
            [{"display_name": "A", "access": {"group": ["staff"]}}],
            "profile_list[0].access.group: unknown key; use groups or users",
        ),
        ([{"display_name": "A", "access": {}}], "profile_list[0].access: has neither groups nor users"),
        (
            option(choices={"a": {}}, access={"groups": None}),
            f"{PLACE}.access: has neither groups nor users",
        ),
        (
            option(unlisted_choice={"enabled": True, "access": {"users": {"ada": True}}}),
            f"{PLACE}.unlisted_choice.access.users: must be a list of names, not a dictionary",
        ),
        (
            option(choices={"a": {"access": {"users": [7]}}}),
            f"{PLACE}.choices.a.access.users: 7 is not a name",
        ),
    ],
)
def test_a_profile_that_could_never_work_is_left_out_with_its_place(profile_list, message):
    kept, (fault,) = usable(profile_list)

    assert fault.startswith(message)
    assert fault.endswith("; the profile is left out")
    assert len(kept) == len(profile_list) - 1


@pytest.mark.parametrize("nonsense", ["small", 7, {"display_name"}, iter([])])
def test_what_is_no_list_of_profiles_is_refused(nonsense):
    with pytest.raises(
        UnusableProfiles, match="profile_list: must be a list or a dictionary of profiles, not a"
    ):
        usable(nonsense)


@pytest.mark.parametrize(
    "empty", [{}, {"choices": {}}, {"choices": None}, {"unlisted_choice": {"enabled": False}}, None]
)
def test_an_option_without_anything_to_choose_is_left_out_and_its_profile_is_not(empty):
    mixed = [
        {"display_name": "A", "profile_options": {"empty": empty, "full": {"choices": {"a": {}}}}},
        {"display_name": "B"},
    ]

    kept, (fault,) = usable(mixed)

    assert fault == (
        "profile_list[0].profile_options.empty: has neither choices nor an enabled unlisted_choice;"
        " the option is left out"
    )
    assert [list(profile.get("profile_options", ())) for profile in kept.values()] == [["full"], []]
    assert list(mixed[0]["profile_options"]) == ["empty", "full"]


def test_what_is_sound_is_known_by_its_place_in_the_whole_list():
    kept, _ = usable([None, {"display_name": "A"}, {"slug": "b"}, {"display_name": "C"}])

    assert {place: profile["display_name"] for place, profile in kept.items()} == {
        "profile_list[1]": "A",
        "profile_list[3]": "C",
    }


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
    kept, faults = usable(profile_list)

    assert (list(kept.values()), faults) == (in_order(profile_list), [])
    assert list(useless_slugs(kept)) == []


def test_of_two_profiles_with_one_slug_the_second_is_named_with_both_places():
    profiles = [{"display_name": "GPU (A100)"}, {"display_name": "x"}, {"display_name": "GPU A100"}]

    assert list(useless_slugs(placed(profiles))) == [
        'profile_list[2]: the slug "gpu-a100" is already used by profile_list[0]; set another slug'
    ]


def test_a_profile_that_nobody_could_name_is_useless_unless_it_is_the_default():
    (fault,) = useless_slugs(placed([{"display_name": "A"}, {"display_name": "🚀"}]))
    assert fault == "profile_list[1]: display_name has no letters to make a slug from; set slug"

    assert list(useless_slugs(placed([{"display_name": "A"}, {"display_name": "🚀", "default": True}]))) == []


def test_fixed_values_are_told_from_functions():
    fixed = fixed_overrides(placed([{"display_name": "A"}, profiles()[1]]))

    assert [place for place, _, value in fixed if not isinstance(value, dict)] == [
        "profile_list[1].kubespawner_override.image",
        "profile_list[1].profile_options.image.choices.old.kubespawner_override.image",
        "profile_list[1].profile_options.image.choices.new.kubespawner_override.image",
    ]
    assert not list(
        fixed_overrides(placed([{"display_name": "A", "kubespawner_override": {"image": print}}]))
    )


def everywhere(**part):
    """Return profiles that have this at each kind of place, with the places."""
    option = {"choices": {"a": part}, "unlisted_choice": {"enabled": True, **part}, **part}
    places = ["", ".profile_options.o", ".profile_options.o.choices.a", ".profile_options.o.unlisted_choice"]
    profile_list = [{"display_name": "A"}, {"display_name": "B", "profile_options": {"o": option}, **part}]
    return profile_list, [f"profile_list[1]{place}" for place in places]


@pytest.mark.parametrize("key", ["allowed_groups", "allowed_users"])
def test_rules_of_administrators_own_functions_are_found_wherever_they_stand(key):
    profile_list, places = everywhere(**{key: ["staff"]})

    assert sorted(foreign_rules(placed(profile_list))) == sorted(f"{place}.{key}" for place in places)
    assert not list(foreign_rules(placed(ruled())))


def test_a_word_as_access_is_foreign_only_in_a_profile_that_a_function_returns():
    of_profile = [{"display_name": "A"}, {"display_name": "B", "access": "staff"}]
    of_choice = [{"display_name": "A"}, *option(choices={"a": {"access": "staff"}})]

    assert list(foreign_rules(usable(of_profile, of_function=True)[0])) == ["profile_list[1].access"]
    assert list(usable(of_profile)[0]) == ["profile_list[0]"]
    assert list(usable(of_choice, of_function=True)[0]) == ["profile_list[0]"]


def test_keys_that_are_like_a_known_one_are_named_with_it():
    image = {"display_nam": "Image", "choises": {"a": {}}}
    choice = {"kubespawner_overide": {}, "defualt": True}
    typed = {"choices": {"a": choice}, "unlisted_choices": {}, "unlisted_choice": {"enable": True}}
    profile = {
        "display_name": "B",
        "kubespawner_overide": {"image": "lab"},
        "profile_option": {"image": image},
        "profile_options": {"image": image, "typed": typed},
    }

    kept, faults = usable([{"display_name": "A"}, profile])

    place = "profile_list[1]"
    assert kept.keys() == {"profile_list[0]", place}
    assert faults == [
        f"{place}.profile_options.image: has neither choices nor an enabled unlisted_choice; the option is left out",
        *(
            f"{place}.{path}: is unknown, and has no effect; did you mean {key}?"
            for path, key in (
                ("kubespawner_overide", "kubespawner_override"),
                ("profile_options.image.display_nam", "display_name"),
                ("profile_options.image.choises", "choices"),
                ("profile_options.typed.choices.a.kubespawner_overide", "kubespawner_override"),
                ("profile_options.typed.choices.a.defualt", "default"),
                ("profile_options.typed.unlisted_choice.enable", "enabled"),
            )
        ),
    ]


def test_a_misspelled_key_explains_why_a_profile_is_left_out():
    assert usable({"a": {"displayname": "A"}}) == (
        {},
        [
            "profile_list.a: display_name is missing; the profile is left out",
            "profile_list.a.displayname: is unknown, and has no effect; did you mean display_name?",
        ],
    )


@pytest.mark.parametrize(
    "key",
    [
        "x-defualt",
        "display_order",
        "display_names",
        "icon",
        "descriptions",
        "allowed_groups",
        "names",
        5,
        None,
    ],
)
def test_keys_that_an_administrators_own_template_may_read_are_no_faults(key):
    part = {"display_name": "A", "description": "B", key: 1}
    option = {"choices": {"a": part}, "unlisted_choice": {"enabled": True, **part}, **part}
    assert usable([{**part, "profile_options": {"o": option}}])[1] == []


def test_settings_that_are_not_known_are_named_with_the_nearest_that_is():
    profile_list, places = everywhere(kubespawner_override={"mem_limits": "1G", "flag": 1, "image": "lab"})
    del places[1]  # an option has no overrides of its own

    told = list(unknown_overrides(placed(profile_list), {"image"}.__contains__, ["image", "mem_limit"]))

    assert told == [
        f"{place}.kubespawner_override.{what}"
        for place in places
        for what in (
            "mem_limits: is not an option of the spawner; did you mean mem_limit?",
            "flag: is not an option of the spawner; it is set, but only hooks can use it",
        )
    ]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("pod_name_template", "pod_name"),
        ("pvc_name_template", "pvc_name"),
        ("enable_user_namespaces", "namespace"),
    ],
)
def test_names_that_come_too_late_are_told_with_what_a_profile_can_set(name, instead):
    profile_list = [
        {"display_name": "A", "kubespawner_override": {name: lambda spawner: "x", "image": "lab"}}
    ]

    (fault,) = overrides_too_late(placed(profile_list))

    assert fault == (
        f"profile_list[0].kubespawner_override.{name}: has no effect, because names are made before profiles apply;"
        f" set {instead} instead"
    )


def test_a_template_beside_the_name_itself_is_not_worth_a_word():
    override = {"pvc_name_template": "project-a", "pvc_name": "project-a"}

    assert not list(overrides_too_late(placed([{"display_name": "A", "kubespawner_override": override}])))
