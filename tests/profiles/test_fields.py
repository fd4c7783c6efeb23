"""What a form says."""

import logging
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubespawner import KubeSpawner as Theirs

from k8s_hub.profiles.fields import options_from_fields, unrecognised

FORMS = [
    {},
    {"profile": ["gpu"]},
    {"profile": ["gpu"], "profile-option-gpu--image": ["new"]},
    {
        "profile": ["gpu"],
        "profile-option-small--image": ["new"],
        "profile-option-gpu--image--unlisted-choice": ["x"],
    },
    {"profile": [""], "profile-option---image": ["new"]},
    {"profile-option-gpu--image": ["new"]},
    {"profile": ["gpu", "small"], "profile-option-gpu--a--b": ["1", "2"], "other": ["x"]},
]


def as_upstream(form):
    return Theirs._options_from_form(SimpleNamespace(log=logging.getLogger("upstream")), form)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_as_by_kubespawner(form):
    assert options_from_fields(form) == as_upstream(form)


_words = st.sampled_from(["a", "b", "a--b", "image", "--", ""])
_names = st.just("profile") | st.builds("profile-option-{}--{}".format, _words, _words) | st.text(max_size=4)


@given(st.dictionaries(_names, st.lists(st.text(max_size=3) | _words, min_size=1, max_size=2)))
def test_any_form_is_read_as_by_kubespawner(form):
    assert options_from_fields(form) == as_upstream(form)


def test_fields_that_no_form_of_profiles_has_are_named():
    assert unrecognised({"profile": [""], "profile-option-x--y": [""], "b": [], "a": []}) == ["a", "b"]


def test_a_field_without_a_value_counts_as_not_given():
    assert options_from_fields({"profile": []}) == {}
