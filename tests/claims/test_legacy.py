"""The corpus tests/data/claims/eras.json holds names that earlier versions of KubeSpawner really made."""

import json
from pathlib import Path

import pytest

from k8s_hub.claims.home import UseExisting, Why, choose_home
from k8s_hub.claims.legacy import legacy_names
from k8s_hub.naming.templates import names_of
from tests.claims.objects import claim, listed, request

ERAS = [
    tuple(row)
    for row in json.loads((Path(__file__).parent.parent / "data" / "claims" / "eras.json").read_text())
]


def found_for(user, server="", template="claim-{user_server}"):
    names = names_of(username=user, servername=server, userid=7, hub_namespace="jhub")
    return {legacy.name: legacy.is_unmistakable for legacy in legacy_names(template, names)}


@pytest.mark.parametrize("version, template, user, server, name", ERAS)
def test_the_name_of_every_era_is_among_the_legacy_names(version, template, user, server, name):
    assert name in found_for(user, server)


@pytest.mark.parametrize("version, template, user, server, name", ERAS)
def test_the_claim_of_every_era_is_the_home_and_no_new_one_is_made(version, template, user, server, name):
    home = choose_home(request(user, server), listed(claim(name, user, server)))
    assert isinstance(home, UseExisting)
    assert home.name == name


@pytest.mark.parametrize("version, template, user, server, name", ERAS)
def test_the_claim_of_every_era_is_found_even_where_legacy_names_are_not_handled(
    version, template, user, server, name
):
    """Then by its annotations."""
    home = choose_home(request(user, server, legacy_names=()), listed(claim(name, user, server)))
    assert isinstance(home, UseExisting)
    assert home.name == name


@pytest.mark.parametrize("version, template, user, server, name", [row for row in ERAS if not row[3]])
def test_a_default_servers_claim_that_lost_its_annotations_is_found_by_name(
    version, template, user, server, name
):
    home = choose_home(request(user, server), listed(claim(name)))
    assert isinstance(home, UseExisting)
    assert home.name == name


def test_a_template_of_the_admin_is_known_in_every_era():
    names = found_for("user-1", "gpu", template="home-{username}{servername}")
    assert {"home-user-1gpu", "home-user-2d1gpu", "home-user-2d1-gpu", "home-user-2d1-2dgpu"} <= names.keys()


def test_the_latest_version_comes_first_and_no_name_twice():
    names = list(found_for("user-1"))
    assert names == ["claim-user-1", "claim-user-2d1"]


@pytest.mark.parametrize(
    "name, is_unmistakable",
    [
        ("claim-ada--gpu", True),
        ("claim-adagpu", False),
        ("claim-ada-gpu", False),
        ("claim-ada-2dgpu", False),
    ],
)
def test_names_that_another_server_may_have_had_are_marked(name, is_unmistakable):
    assert found_for("ada", "gpu")[name] is is_unmistakable


def test_an_unannotated_claim_is_not_taken_by_a_name_that_another_server_may_have_had():
    """claim-adagpu without annotations may be the user adagpu's."""
    choice = choose_home(request("ada", "gpu"), listed(claim("claim-adagpu")))
    assert choice.name == "claim-ada--gpu"
    assert choice.why is Why.FIRST
