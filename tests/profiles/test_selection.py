"""What a user chose: the right overrides in the right order, and a sentence for whatever is wrong."""

import json
import signal
import threading
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubespawner.utils import recursive_format, recursive_update

from k8s_hub.profiles.listing import Person, copied, initialised
from k8s_hub.profiles.selection import (
    LONGEST_VALUE,
    MatchBudget,
    TooSlow,
    WrongChoice,
    filled_in,
    merged,
    profile_of,
    select,
    still_valid,
    unknown_to,
)
from tests.profiles.samples import ADA, BOB, profiles, ruled

CAROL = Person(name="carol")


def overrides(user_options, *, of=profiles, person=ADA):
    return [override for override in select(initialised(of()), user_options, person).overrides if override]


@pytest.mark.parametrize(
    ("user_options", "expected"),
    [
        ({}, [{"mem_limit": "1G"}]),
        ({"profile": ""}, [{"mem_limit": "1G"}]),
        ({"profile": None, "garbage": [1]}, [{"mem_limit": "1G"}]),
        (
            {"profile": "gpu"},
            [
                {"image": "lab", "environment": {"MODE": "gpu"}},
                {"image": "lab:2"},
                {"extra_labels": {"cards": "1"}},
            ],
        ),
        (
            {"cards": "2", "image": "old", "profile": "gpu"},
            [
                {"image": "lab", "environment": {"MODE": "gpu"}},
                {"image": "lab:1"},
                {"extra_labels": {"cards": "2"}},
            ],
        ),
        (
            {"profile": "gpu", "cards": 2, "image": "new", "image--unlisted-choice": "pangeo/x"},
            [
                {"image": "lab", "environment": {"MODE": "gpu"}},
                {"image": "pangeo/x", "environment": {"IMAGE": "pangeo/x"}},
                {"extra_labels": {"cards": "2"}},
            ],
        ),
        ({"profile": "anything", "image--unlisted-choice": 7}, [{"image": "7"}]),
        ({"profile": "small", "image": "old", "image:ref": "main", "cards": ["?"]}, [{"mem_limit": "1G"}]),
        ({"profile": "small", "image--unlisted-choice": ""}, [{"mem_limit": "1G"}]),
        ({"profile": "small", "b--c--unlisted-choice": "of the profile a--b"}, [{"mem_limit": "1G"}]),
    ],
)
def test_overrides_are_those_of_the_profile_and_then_of_each_option(user_options, expected):
    assert overrides(user_options) == expected


SLUGS = 'choose one of "small", "gpu" and "anything"'
WRONG = [
    ({"profile": "huge"}, f'There is no profile "huge"; {SLUGS}.'),
    ({"profile": "gpu\n"}, f'There is no profile "gpu\n"; {SLUGS}.'),
    ({"profile": "Small"}, f'There is no profile "Small"; {SLUGS}.'),
    ({"profile": True}, f'There is no profile "True"; {SLUGS}.'),
    ({"profile": ["gpu"]}, '"profile" must be a string, not a list.'),
    ({"profile": {"gpu": 1}}, '"profile" must be a string, not an object.'),
    ({"profile": "x" * 1000}, f'There is no profile "{"x" * 60}…"; {SLUGS}.'),
    (
        {"profile": "gpu", "image": "older"},
        'The option "image" has no choice "older"; choose one of "old" and "new".',
    ),
    ({"profile": "gpu", "image": ["old"]}, '"image" must be a string, not a list.'),
    ({"profile": "gpu", "image": {"a": 1}}, '"image" must be a string, not an object.'),
    ({"profile": "gpu", "cards": 3}, 'The option "cards" has no choice "3"; choose one of "1" and "2".'),
    (
        {"profile": "gpu", "cards--unlisted-choice": "8"},
        'The option "cards" does not accept a value of your own, such as "8"; choose one of "1" and "2".',
    ),
    (
        {"profile": "gpu", "image--unlisted-choice": "evil/x"},
        'The option "image" cannot be "evil/x": Must be pangeo/NAME.',
    ),
    (
        {"profile": "gpu", "image--unlisted-choice": "pangeo/x\n{0}"},
        'The option "image" cannot be "pangeo/x\n{0}": Must be pangeo/NAME.',
    ),
    (
        {"profile": "gpu", "image--unlisted-choice": ["a"]},
        '"image--unlisted-choice" must be a string, not a list.',
    ),
    (
        {"profile": "gpu", "image--unlisted-choice": "pangeo/" + "x" * LONGEST_VALUE},
        f'The value of the option "image" has {LONGEST_VALUE + 7} characters, but may have at most {LONGEST_VALUE}.',
    ),
    (
        {"profile": "gpu", "image": "unlisted-choice"},
        'The option "image" needs a value. Must be pangeo/NAME.',
    ),
    ({"profile": "anything"}, 'The option "image" needs a value.'),
    (
        {"profile": "anything", "image": "lab"},
        'The option "image" has no choice "lab"; put a value of your own into "image--unlisted-choice".',
    ),
    (
        {"profile": "anything", "image--unlisted-choice": "a\ud800"},
        '"image--unlisted-choice" contains an invalid character: "a\\ud800".',
    ),
    ({"profile": "\udfff"}, '"profile" contains an invalid character: "\\udfff".'),
    (
        {"profile": "small", "\ud800--unlisted-choice": "8"},
        'The profile "small" has no option "\\ud800".',
    ),
    ({"profile": "small", "disk--unlisted-choice": 0}, 'The profile "small" has no option "disk".'),
    ({"profile": "anything", "image--unlisted-choice": " \n"}, 'The option "image" needs a value.'),
    ({"profile": "gpu", "cards": []}, '"cards" must be a string, not a list.'),
    ({"profile": "gpu", "cards": 0}, 'The option "cards" has no choice "0"; choose one of "1" and "2".'),
    (
        {"profile": "gpu", "cards": False},
        'The option "cards" has no choice "False"; choose one of "1" and "2".',
    ),
    ({"profile": 0}, f'There is no profile "0"; {SLUGS}.'),
    ({"profile": "small", "disk--unlisted-choice": "8"}, 'The profile "small" has no option "disk".'),
    (
        {"profile": "gpu", "profile-option-gpu--image": "old"},
        '"profile-option-gpu--image" is the name of a form field; use "image" in user_options.',
    ),
    (
        {"profile": "gpu", "profile-option-small--image": "old"},
        '"profile-option-small--image" is the name of a form field.',
    ),
]


@pytest.mark.parametrize(("user_options", "sentence"), WRONG)
def test_whatever_is_wrong_is_named_in_a_sentence(user_options, sentence):
    with pytest.raises(WrongChoice) as error:
        overrides(user_options)

    assert str(error.value) == sentence


def test_what_is_chosen_without_a_profile_is_judged_by_the_default_profile():
    def gpu_first():
        return profiles()[1:]

    assert overrides({"image": "old"}, of=gpu_first)[1] == {"image": "lab:1"}
    with pytest.raises(WrongChoice, match="cannot be"):
        overrides({"image--unlisted-choice": "evil/x"}, of=gpu_first)


def test_an_expression_is_said_where_nobody_said_it_better():
    def plain():
        unlisted = {"enabled": True, "validation_regex": "[a-z]+"}
        return [{"display_name": "A", "profile_options": {"o": {"unlisted_choice": unlisted}}}]

    with pytest.raises(WrongChoice, match=r"it does not match \[a-z\]\+"):
        overrides({"o--unlisted-choice": "A"}, of=plain)


def test_blanks_around_a_typed_value_are_not_meant():
    for typed in (" pangeo/x", "pangeo/x\n", "\t pangeo/x\u00a0"):
        chosen = overrides({"profile": "gpu", "image--unlisted-choice": typed})
        assert chosen[1] == {"image": "pangeo/x", "environment": {"IMAGE": "pangeo/x"}}


@pytest.mark.parametrize(
    ("keys", "choice", "expected"),
    [
        ([1, 0], 0, 0),
        ([1, 0], "0", 0),
        (["1", "0"], 0, "0"),
        ([True, False], False, False),
        ([True, False], "False", False),
        (["true", "false"], False, "false"),
        (["true", "false"], "false", "false"),
        ([1.5, 0.0], 0.0, 0.0),
        ([1, 0], None, 1),
        ([1, 0], "", 1),
    ],
)
def test_nothing_is_chosen_only_where_nothing_is_said(keys, choice, expected):
    def numbered():
        choices = {key: {"kubespawner_override": {"image": repr(key)}} for key in keys}
        return [{"display_name": "A", "profile_options": {"o": {"choices": choices}}}]

    assert overrides({"o": choice}, of=numbered) == [{"image": repr(expected)}]


def test_zero_is_a_value_and_a_slug():
    def zero():
        unlisted = {"enabled": True, "kubespawner_override": {"image": "{value}"}}
        return [
            {"display_name": "A"},
            {"display_name": "B", "slug": 0, "profile_options": {"o": {"unlisted_choice": unlisted}}},
        ]

    assert overrides({"profile": 0, "o--unlisted-choice": 0}, of=zero) == [{"image": "0"}]


def with_expression(regex, *options):
    unlisted = {"enabled": True, "validation_regex": regex, "kubespawner_override": {"image": "{value}"}}
    names = options or ("o",)
    return [{"display_name": "A", "profile_options": {name: {"unlisted_choice": unlisted} for name in names}}]


SLOW = [
    (r"^([a-z0-9]+[._-]?)+:[a-z0-9.]+$", "a" * 40),
    (r"(a|a)*b", "a" * 40),
    (r"(\w+\s?)*!", "word " * 20),
    (r".*-.*-.*-.*-.*!", "-" * 4000),
    (r"([\w.-]*[\w.-]*)*[\w.-]*!", "a" * 4000),
]


@pytest.mark.parametrize(("regex", "value"), SLOW)
def test_an_expression_that_would_take_for_ever_refuses_the_value_and_is_named_to_the_administrator(
    regex, value
):
    with pytest.raises(WrongChoice, match=r"checking it took too long\. Try a shorter value") as error:
        overrides({"o--unlisted-choice": value}, of=lambda: with_expression(regex))

    assert repr(regex) in error.value.detail
    assert f"{len(value.strip())} characters" in error.value.detail
    assert value[:70] not in error.value.detail


def test_of_an_earlier_choice_what_takes_for_ever_is_not_kept():
    earlier = {"profile": "a", "x--unlisted-choice": "a" * 40, "y--unlisted-choice": "a" * 40}

    assert still_valid(initialised(with_expression("(a|a)*b", "x", "y")), earlier, ADA) == {"profile": "a"}


@pytest.mark.parametrize(("regex", "value"), [(".+:.+", "a:" * 2000), (r"[\w./-]+(:[\w.-]+)?", "a/" * 2000)])
def test_a_long_value_is_no_slow_one(regex, value):
    assert overrides({"o--unlisted-choice": value}, of=lambda: with_expression(regex)) == [{"image": value}]


def test_an_expression_must_match_the_whole_value():
    def prefix():
        unlisted = {"enabled": True, "validation_regex": "pangeo/"}
        return [{"display_name": "A", "profile_options": {"o": {"unlisted_choice": unlisted}}}]

    with pytest.raises(WrongChoice):
        overrides({"o--unlisted-choice": "pangeo/x"}, of=prefix)


@pytest.mark.parametrize(
    ("person", "user_options", "sentence"),
    [
        (
            ADA,
            {"profile": "staff"},
            'The profile "staff" is not available to you; choose one of "adas" and "shared".',
        ),
        (CAROL, {"profile": "adas"}, 'The profile "adas" is not available to you; choose "shared".'),
        (ADA, {"profile": "shared", "cards": "one"}, 'The option "cards" is not available to you.'),
        (
            ADA,
            {"profile": "shared", "cards--unlisted-choice": "9"},
            'The option "cards" is not available to you.',
        ),
        (
            ADA,
            {"profile": "shared", "size": "huge"},
            'The option "size" has no choice "huge"; choose "tiny".',
        ),
        (
            ADA,
            {"profile": "shared", "size--unlisted-choice": "8G"},
            'The option "size" does not accept a value of your own, such as "8G"; choose "tiny".',
        ),
    ],
)
def test_what_is_for_others_is_refused(person, user_options, sentence):
    with pytest.raises(WrongChoice) as error:
        overrides(user_options, of=ruled, person=person)

    assert str(error.value) == sentence


def test_an_option_for_others_changes_nothing():
    assert overrides({"profile": "shared"}, of=ruled, person=CAROL) == [{"mem_limit": "1G"}]
    assert overrides({"profile": "shared"}, of=ruled, person=BOB) == [
        {"image": "cards"},
        {"mem_limit": "64G"},
    ]


def test_two_profiles_of_one_slug_may_be_for_different_people():
    def variants():
        return [
            {
                "display_name": "A",
                "slug": "a",
                "access": {"users": [name]},
                "kubespawner_override": {"image": name},
            }
            for name in ("ada", "bob")
        ]

    assert overrides({"profile": "a"}, of=variants, person=BOB) == [{"image": "bob"}]


def test_where_nothing_is_offered_that_is_said():
    nothing = initialised([{"display_name": "A", "access": {"users": []}}])

    with pytest.raises(WrongChoice, match="No profile is available to you"):
        profile_of(nothing, None, ADA)


def test_many_names_are_not_all_listed():
    many = initialised([{"display_name": f"p{number}"} for number in range(30)])

    with pytest.raises(WrongChoice) as error:
        profile_of(many, "x", ADA)
    assert str(error.value).endswith('"p6", "p7" and 22 more.')


def test_what_is_still_possible_of_an_earlier_choice_is_kept():
    earlier = {"profile": "gpu", "image": "gone", "cards": "2", "note": "x", "disk--unlisted-choice": "8"}

    assert still_valid(initialised(profiles()), earlier, ADA) == {"profile": "gpu", "cards": "2", "note": "x"}
    assert still_valid(initialised(profiles()), {"profile": "gone", "cards": "2"}, ADA) == {}
    assert still_valid(initialised(profiles()), {}, ADA) == {}
    assert still_valid([], {"profile": "gpu"}, ADA) == {}


def test_what_is_no_longer_for_somebody_is_not_kept():
    earlier = {"profile": "shared", "cards": "one", "size": "huge"}

    assert still_valid(initialised(ruled()), earlier, BOB) == earlier
    assert still_valid(initialised(ruled()), earlier, ADA) == {"profile": "shared"}


def test_a_wrong_text_is_kept_for_its_correction_where_that_is_wanted():
    posted = {"profile": "gpu", "image": "unlisted-choice", "image--unlisted-choice": "evil/x", "cards": 9}
    texts = {"profile": "gpu", "image--unlisted-choice": "evil/x"}

    assert still_valid(initialised(profiles()), posted, ADA, keeps_texts=True) == texts


def test_keys_that_mean_nothing_to_a_profile_are_known():
    gpu = initialised(profiles())[1]

    assert unknown_to(gpu, {"profile": 1, "image": 1, "image--unlisted-choice": 1, "b": 1, "a": 1}) == [
        "a",
        "b",
    ]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
_keys = st.sampled_from(
    [
        "profile",
        "image",
        "cards",
        "size",
        "image--unlisted-choice",
        "cards--unlisted-choice",
        "size--unlisted-choice",
    ]
)
_values = _json | st.sampled_from(
    ["gpu", "shared", "adas", "old", "pangeo/x", "huge", "one", 1, "unlisted-choice"]
)


@given(st.dictionaries(_keys | st.text(max_size=4), _values), st.sampled_from([profiles, ruled]))
def test_any_json_is_either_a_choice_or_gets_a_sentence(user_options, of):
    known = initialised(of())
    before = copied(known), json.dumps(user_options)
    try:
        select(known, user_options, ADA)
    except WrongChoice as wrong:
        assert str(wrong)  # noqa: PT017 - either is fine
    still_valid(known, user_options, ADA)
    assert (known, json.dumps(user_options)) == before


FOR_EVER = ("(a|a)*b", "a" * 40)


@pytest.mark.parametrize(
    ("expression", "text", "expected"),
    [
        ("a+", "aaa", True),
        ("a+", "aaab", False),
        ("a|ab", "ab", True),
        ("^a$", "a\n", False),
        ("(?i)ABC", "abc", True),
        ("", "", True),
    ],
)
def test_the_whole_text_must_match(expression, text, expected):
    assert MatchBudget().matches(expression, text) is expected


def test_one_allowance_is_for_all_expressions_together():
    allowance = MatchBudget()
    with pytest.raises(TooSlow):
        allowance.matches(*FOR_EVER)

    with pytest.raises(TooSlow):
        allowance.matches("a", "a")
    assert MatchBudget().matches("a", "a")


def test_signals_and_timers_are_as_they_were():
    heard = []
    before = signal.signal(signal.SIGVTALRM, lambda *_: heard.append("signal"))
    try:
        with pytest.raises(TooSlow):
            MatchBudget().matches(*FOR_EVER)
        assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
        signal.raise_signal(signal.SIGVTALRM)
        assert heard == ["signal"]
    finally:
        signal.signal(signal.SIGVTALRM, before)


def test_another_thread_than_the_hubs_matches_too():
    results = []
    thread = threading.Thread(target=lambda: results.append(MatchBudget().matches("a+", "aaa")))
    thread.start()
    thread.join()

    assert results == [True]


_leaves = st.none() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
_letters = st.sampled_from("abc")
_nested = st.recursive(_leaves, lambda inner: st.dictionaries(_letters, inner, max_size=3), max_leaves=8)
_dictionaries = st.dictionaries(_letters, _nested, max_size=3)


@given(_dictionaries, _dictionaries)
def test_dictionaries_merge_as_in_kubespawner_and_both_stay_what_they_were(current, changes):
    before = deepcopy((current, changes))
    result = merged(current, changes)
    assert (current, changes) == before

    expected = deepcopy(current)
    try:
        recursive_update(expected, deepcopy(changes))
    except (AttributeError, TypeError):
        return  # a dictionary onto something else is an error there, and replaces it here
    assert result == expected


def test_a_dictionary_replaces_what_is_none():
    assert merged({"a": "text"}, {"a": {"b": 1, "c": None}}) == {"a": {"b": 1}}


def test_what_is_merged_is_not_shared():
    changes = {"a": {"b": [1]}, "c": [2]}
    result = merged({}, changes)
    result["a"]["b"].append(2)
    result["c"].append(3)

    assert changes == {"a": {"b": [1]}, "c": [2]}


_templates = st.text(alphabet="a{}", max_size=6) | st.sampled_from(
    ["{value}", "x-{value}:{b}", "{{value}}", "{value!r}"]
)


@given(
    st.recursive(
        _templates, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_templates, inner, max_size=2)
    )
)
def test_values_are_filled_in_as_in_kubespawner(template):
    try:
        expected = recursive_format(template, value="v")
    except (ValueError, LookupError, AttributeError):
        return  # malformed, which is refused beforehand
    assert filled_in({"image": template}, "v") == {"image": expected}


def test_sets_are_filled_in_and_other_things_stay():
    assert filled_in({"a": {"{value}"}, "b": print, "c": 3}, "v") == {"a": {"v"}, "b": print, "c": 3}


def test_a_users_braces_stay_literal_in_what_is_a_template_later():
    override = {"image": "{value}", "extra_labels": {"tag": "{value}-{username}"}}
    filled = filled_in(override, "{x}", templates={"extra_labels"})

    assert filled == {"image": "{x}", "extra_labels": {"tag": "{{x}}-{username}"}}
    assert filled["extra_labels"]["tag"].format(username="ada") == "{x}-ada"


def test_braces_that_a_user_typed_stay_in_keys_which_are_no_templates_later():
    filled = filled_in({"environment": {"{value}": "{value}"}}, "{a}", templates={"environment"})

    assert filled == {"environment": {"{a}": "{{a}}"}}
