"""Merging into settings, and filling in what a user wrote."""

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st
from kubespawner.utils import recursive_format, recursive_update

from k8s_hub.profiles.overrides import filled_in, merged

_leaves = st.none() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
_keys = st.sampled_from("abc")
_nested = st.recursive(_leaves, lambda inner: st.dictionaries(_keys, inner, max_size=3), max_leaves=8)
_dictionaries = st.dictionaries(_keys, _nested, max_size=3)


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
