"""The page of options is complete and of today; the help of the options reads well."""

import ast
import difflib
import inspect
import re
from importlib.metadata import entry_points

import jupyterhub
import pytest
from jupyterhub.app import JupyterHub
from jupyterhub.spawner import Spawner
from traitlets.config import Config

from devkit import reference
from devkit.differential import peers

LATEST_HUB = jupyterhub.version_info >= (6,)

OURS = {
    name: trait
    for name, trait in peers.Ours.class_traits(config=True).items()
    if trait.this_class is not Spawner and trait.this_class.__module__.startswith("k8s_hub")
}
LONGEST_LINE = 120
QUOTED = 8
"""Words in a row that are no accident."""


@pytest.mark.skipif(not LATEST_HUB, reason="the page has the options of the latest JupyterHub")
def test_the_page_of_options_is_of_today():
    committed, today = reference.PAGE.read_text(), reference.page()

    changes = difflib.unified_diff(
        committed.splitlines(), today.splitlines(), "committed", "today", lineterm=""
    )
    assert committed == today, f"run `{reference.COMMAND}` and commit the page:\n" + "\n".join(changes)


def test_the_page_of_the_cullers_options_is_of_today():
    assert reference.CULLER_PAGE.read_text() == reference.culler_page(), f"run `{reference.COMMAND}`"


def test_every_option_of_kubespawner_is_here_or_its_absence_has_a_reason():
    for names in reference.options_of_kubespawner():
        assert [row for row in reference.rows(names) if not row.state] == []


def test_every_reason_is_about_an_option():
    explained = reference.DIFFERENT.keys() | reference.MORE.keys() | reference.DROPPED.keys()

    assert explained <= peers.Theirs.class_traits(config=True).keys()


def test_an_unexplained_difference_is_named(monkeypatch):
    monkeypatch.delitem(reference.DIFFERENT, "delete_pvc")

    with pytest.raises(
        reference.UnexplainedError, match="delete_pvc is bool with default `True` in KubeSpawner"
    ):
        reference.rows(["delete_pvc"])


# --- Help ---


def test_help_says_something_in_few_lines_with_one_example():
    for name, trait in OURS.items():
        text = inspect.cleandoc(trait.help)

        assert text.strip(), name
        assert text[0].isupper(), name
        assert max(map(len, text.splitlines())) <= LONGEST_LINE, name
        assert len(re.findall(r"e\.g\.|for example|example::", text, re.IGNORECASE)) <= 1, name
        assert "defaults to" not in text.lower(), name


def test_help_is_written_by_us():
    theirs = peers.Theirs.class_traits(config=True)

    for name in OURS.keys() & theirs.keys():
        assert not runs_of_words(OURS[name].help) & runs_of_words(theirs[name].help), name


def runs_of_words(text):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[index : index + QUOTED]) for index in range(len(words) - QUOTED + 1)}


@pytest.mark.parametrize("written", [peers.Ours.class_get_help, peers.Ours.class_config_section])
def test_help_and_the_generated_configuration_name_every_option(written):
    text = written()

    assert all(name in text for name in OURS)
    assert all(group not in text for group in ("StorageTraits", "Options("))


def test_the_generated_configuration_shows_defaults_that_are_python():
    for trait in OURS.values():
        ast.literal_eval(trait.default_value_repr())


# --- Beside KubeSpawner ---


def test_each_spawner_is_installed_under_a_name_of_its_own():
    """KubeSpawner 7.1.0 is known to the hub by its import path only."""
    points = entry_points(group="jupyterhub.spawners")

    assert len({point.name for point in points}) == len(points)
    assert points["k8s-hub"].load() is peers.Ours


@pytest.mark.parametrize(
    ("name", "spawner_class"),
    [
        ("k8s-hub", peers.Ours),
        ("k8s_hub.KubeSpawner", peers.Ours),
        ("kubespawner.KubeSpawner", peers.Theirs),
    ],
)
def test_the_hub_takes_the_spawner_that_the_configuration_names(name, spawner_class):
    hub = JupyterHub(config=Config({"JupyterHub": {"spawner_class": name}}))

    assert hub.spawner_class is spawner_class
    assert peers.Ours in hub.classes
