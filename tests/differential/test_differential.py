"""The same cases for KubeSpawner and for this spawner: what differs is listed, with its reason."""

import json
import logging

import pytest

from tests.differential import drawing
from tests.differential.comparing import Unexplained, compared
from tests.differential.differences import ADJUSTMENTS, REWRITES
from tests.differential.document import PAGE, page
from tests.differential.peers import Ours, Theirs
from tests.differential.properties import PROPERTIES, REGRESSIONS, Property


@pytest.fixture(autouse=True)
def _silence():
    logging.disable(logging.CRITICAL)  # both tell of every wrong case
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("prop", PROPERTIES, ids=lambda prop: prop.name)
def test_whatever_is_configured_only_listed_differences_are_found(prop: Property):
    prop.run(derandomize=True)


@pytest.mark.parametrize("file", sorted(REGRESSIONS.glob("*.json")), ids=lambda file: file.stem)
def test_a_case_that_once_differed_is_explained(file):
    compared(json.loads(file.read_text()))


def test_every_option_of_kubespawner_is_drawn_or_there_is_a_reason():
    options = Theirs.class_traits(config=True).keys()

    assert (
        options
        == (drawing.TRAITS.keys() - drawing.DEPRECATED.keys() | drawing.PROFILES) | drawing.NOT_DRAWN.keys()
    )
    assert not drawing.TRAITS.keys() & drawing.NOT_DRAWN.keys()
    assert options <= Ours.class_traits(config=True).keys()


def test_every_field_of_a_template_is_drawn():
    from dataclasses import fields

    from k8s_hub.naming.templates import Names

    assert set(drawing.FIELDS) == {field.name for field in fields(Names)}


def test_every_difference_has_a_name_of_its_own_and_a_reason():
    listed = [*REWRITES, *ADJUSTMENTS]

    assert len({difference.name for difference in listed}) == len(listed)
    assert all(difference.reason and difference.upstream and difference.here for difference in listed)


def test_the_page_of_differences_is_up_to_date():
    assert PAGE.read_text() == page()


BREAKS = {
    "a label is missing": (
        "_build_pod_labels",
        lambda labels: {k: v for k, v in labels.items() if k != "component"},
    ),
    "an annotation is another": (
        "_build_common_annotations",
        lambda made: {**made, "hub.jupyter.org/username": "x"},
    ),
    "arguments are missing": ("get_args", lambda args: args[:-1]),
    "a variable is missing": (
        "get_env",
        lambda env: {k: v for k, v in env.items() if k != "JUPYTER_IMAGE_SPEC"},
    ),
    "a slug is another": ("_expand_user_properties", lambda text: text.replace("---", "--")),
    "a dictionary's order is lost": (
        "_sorted_dict_values",
        lambda values: values[::-1] if values else values,
    ),
    "templates stay as they are": ("_expand_env", lambda env: {}),
    "the state has another name": (
        "get_state",
        lambda state: {**state, "pod_name": f"{state['pod_name']}-2"},
    ),
    "the port is another": ("_get_pod_port", lambda port: port + 1),
    "a field of the form is lost": ("_options_from_form", lambda options: {**options, "profile": "another"}),
}


@pytest.mark.parametrize("what", BREAKS)
def test_what_is_broken_is_found(what, monkeypatch):
    method, broken = BREAKS[what]
    original = getattr(Ours, method)
    monkeypatch.setattr(Ours, method, lambda *args, **kwargs: broken(original(*args, **kwargs)))

    def compare_all():
        for prop in PROPERTIES:
            prop.run(derandomize=True, examples=300, shrink=False)

    with pytest.raises(Unexplained):
        compare_all()
