"""States of every era load here, and KubeSpawner can load the states saved here.

The corpus tests/data/states/eras.json holds, for servers of KubeSpawner 0.9 to 7.1: version, user, server, the name of
the claim, and the state that the version saved.
"""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import kubespawner
import pytest

from devkit.testing.bare import bare_spawner
from k8s_hub.claims.home import UseExisting, choose_home
from k8s_hub.claims.saved_state import SavedState
from k8s_hub.spawner.database import HubDatabase
from k8s_hub.spawner.storage import home_request
from tests.claims.objects import claim, listed

ERAS = json.loads((Path(__file__).parent.parent / "data" / "states" / "eras.json").read_text())
every_state = pytest.mark.parametrize(
    "version, user, server, claim_name, state",
    ERAS,
    ids=[f"{row[0]}-{row[1][:9]}-{row[2]}-{'pvc_name' in row[4]}" for row in ERAS],
)


@pytest.mark.parametrize("version", [None, "7.1.0"])
def test_a_state_without_a_claims_name_keeps_its_version(version):
    """KubeSpawner looks for a claim of an old name only if the state is of an old version."""
    state = {"pod_name": "jupyter-ada", "namespace": "jhub"}
    spawner = bare_spawner()
    spawner.load_state(state if version is None else {**state, "kubespawner_version": version})
    spawner.clear_state()
    assert spawner.get_state().get("kubespawner_version") == version


def test_a_state_with_a_claims_name_is_of_the_latest_version():
    spawner = bare_spawner()
    spawner.load_state({"pod_name": "jupyter-ada", "pvc_name": "claim-ada"})
    assert spawner.get_state()["kubespawner_version"] == "7.1.0"


# --- Every era ---


def loaded(user, server, state, **traits):
    """Return a spawner as the hub makes it after the swap."""
    spawner = bare_spawner(user, server, namespace="jhub", **traits)
    spawner.user.db = NoOtherUsers()
    spawner.load_state(dict(state))
    return spawner


class NoOtherUsers:
    """A database in which nobody else is known."""

    def query(self, *_):
        return self

    filter = query

    def first(self):
        return None

    def execute(self, *_):
        return ()


@every_state
def test_a_server_that_ran_over_the_upgrade_keeps_the_names_of_its_pod(
    version, user, server, claim_name, state
):
    spawner = loaded(user, server, state)
    assert spawner.pod_name == state["pod_name"]
    assert spawner.namespace == "jhub"
    assert spawner.dns_name == state.get("dns_name", spawner.dns_name)


@every_state
def test_a_server_of_every_era_finds_its_claim_at_its_next_start(version, user, server, claim_name, state):
    """Also one that KubeSpawner 7.1.0 stopped since, which drops the name of a claim of an earlier era."""
    claims = listed(claim(claim_name, user, server), claim("claim-other", "other"))
    stopped_since = {**state, "kubespawner_version": "7.1.0"}
    for saved in (state, stopped_since):
        spawner = loaded(user, server, saved)
        spawner.clear_state()
        home = choose_home(home_request(spawner._spec(), HubDatabase.of(spawner)), claims)
        assert isinstance(home, UseExisting), home
        assert home.name == claim_name


@pytest.fixture
def kubespawner_7(monkeypatch):
    """A function that makes a spawner of KubeSpawner 7.1.0, which otherwise looks for a cluster."""
    monkeypatch.setattr("kubespawner.spawner.load_config", lambda **_: None)
    monkeypatch.setattr("kubespawner.spawner.shared_client", lambda _name: None)

    def make(user, server):
        return kubespawner.KubeSpawner(
            _mock=True,
            user=SimpleNamespace(name=user, id=7, url="/"),
            orm_spawner=SimpleNamespace(name=server, server=None),
        )

    return make


@every_state
def test_what_we_save_kubespawner_7_reads(kubespawner_7, version, user, server, claim_name, state):
    ours = loaded(user, server, {**state, "pvc_name": claim_name})
    theirs = kubespawner_7(user, server)
    theirs.load_state(ours.get_state())

    assert theirs.pod_name == ours.pod_name == state["pod_name"]
    assert theirs.namespace == ours.namespace
    assert theirs.dns_name == ours.dns_name
    assert theirs.pvc_name == claim_name
    # None or an unknown version would have it look for earlier names.
    assert theirs._state_kubespawner_version == "7.1.0"
    assert theirs.get_state() == ours.get_state()


@every_state
def test_what_we_save_has_the_fields_that_the_version_itself_saved(version, user, server, claim_name, state):
    """An earlier version reads its own fields by name and leaves the others alone."""
    saved = loaded(user, server, state).get_state()
    assert {name: saved[name] for name in state if name != "kubespawner_version"}.items() <= state.items()


def test_the_url_is_saved_for_others_and_does_not_disturb_kubespawner_7(kubespawner_7):
    state = {
        "kubespawner_version": "7.1.0",
        "pod_name": "jupyter-ada",
        "namespace": "jhub",
        "pvc_name": "claim-ada",
    }
    saved = replace(SavedState.load(state), url="http://10.0.0.7:8888/user/ada/").dump()
    assert saved == {**state, "url": "http://10.0.0.7:8888/user/ada/"}
    assert "url" not in loaded("ada", "", saved).get_state(), "the spawner asks the hub for it"

    theirs, without = kubespawner_7("ada", ""), kubespawner_7("ada", "")
    theirs.load_state(saved)
    without.load_state(state)
    assert theirs.get_state() == without.get_state() == {**state, "dns_name": theirs.dns_name}


def test_the_claims_name_is_saved_only_once_it_is_known():
    spawner = loaded("ada", "", {"pod_name": "jupyter-ada"})
    assert "pvc_name" not in spawner.get_state()


def test_a_remembered_claim_stays_in_the_state_when_it_is_not_to_be_used():
    """KubeSpawner forgets it only for as long as remember_pvc_name is off."""
    spawner = loaded("ada", "", {"pod_name": "jupyter-ada", "pvc_name": "claim-old"}, remember_pvc_name=False)
    assert spawner.pvc_name == "claim-ada"


@pytest.mark.parametrize("extra", [{"unknown": [1, 2]}, {"enabled_ssl": True}])
def test_fields_of_other_versions_and_subclasses_do_no_harm(extra):
    assert SavedState.load({"pod_name": "jupyter-ada", **extra}).pod_name == "jupyter-ada"
