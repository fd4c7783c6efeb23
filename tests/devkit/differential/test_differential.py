"""The same cases for KubeSpawner and for this spawner: what differs is listed, with its reason."""

import json
import logging
from collections import Counter

import pytest

from devkit.differential import drawing
from devkit.differential.comparing import Unexplained, compared
from devkit.differential.differences import ADJUSTMENTS, REWRITES
from devkit.differential.document import PAGE, page
from devkit.differential.peers import Ours, Theirs
from devkit.differential.properties import PROPERTIES, REGRESSIONS, Property
from k8s_hub.manifests.pod import build_environment


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


def test_the_examples_of_the_tests_have_every_option_more_than_once(monkeypatch):
    monkeypatch.setattr("devkit.differential.properties.compared", lambda case: Counter())
    (manifests,) = (prop for prop in PROPERTIES if prop.name == "manifests")
    drawn = Property(manifests.name, manifests.cases, manifests.share)

    drawn.run(derandomize=True, examples=300)

    assert {name for name in drawing.TRAITS if drawn.traits[name] < 3} == set()


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
    "a label is missing": ("names", "_build_pod_labels", lambda labels: _without(labels, "component")),
    "a label is another": ("names", "_build_common_labels", lambda labels: {**labels, "app": "hub"}),
    "an annotation is missing": (
        "names",
        "_build_common_annotations",
        lambda annotations: _without(annotations, "hub.jupyter.org/servername"),
    ),
    "a slug is another": ("names", "_expand_user_properties", lambda text: text.replace("---", "--")),
    "the state has another name": ("names", "get_state", lambda state: {**state, "pod_name": "another"}),
    "the port is another": ("names", "_get_pod_port", lambda port: port + 1),
    "the last argument is missing": ("manifests", "get_args", lambda arguments: arguments[:-1]),
    "a variable is missing": ("manifests", "get_env", lambda env: _without(env, "JUPYTER_IMAGE_SPEC")),
    "variables stay templates": ("manifests", "_expand_env", lambda env: {}),
    "the form's profile is lost": (
        "profiles",
        "_options_from_form",
        lambda options: _without(options, "profile"),
    ),
    "the default form is another": ("choices", "_options_form_default", lambda form: f"{form}!"),
    "nothing is chosen": ("profiles", "_get_initialized_profile_list", lambda profiles: []),
}


def _without(values, name):
    return {key: value for key, value in values.items() if key != name}


@pytest.mark.slow
@pytest.mark.parametrize("what", BREAKS)
def test_what_is_broken_is_found(what, monkeypatch):
    kind, method, broken = BREAKS[what]
    original = getattr(Ours, method)
    monkeypatch.setattr(Ours, method, lambda *args, **kwargs: broken(original(*args, **kwargs)))

    _finds(kind)


def test_another_order_of_variables_is_found(monkeypatch):
    monkeypatch.setattr("k8s_hub.manifests.pod.build_environment", lambda env: build_environment(env)[::-1])

    _finds("manifests")


def _finds(kind):
    (prop,) = (prop for prop in PROPERTIES if prop.name == kind)
    with pytest.raises(Unexplained):
        prop.run(derandomize=True, examples=600, shrink=False)
