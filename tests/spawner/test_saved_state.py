import pytest

from k8s_hub.spawner.saved_state import UNKNOWN_VERSION, SavedState
from tests.spawner.bare import bare_spawner


def test_state_of_kubespawner_7_loads_and_dumps_the_same():
    state = {
        "kubespawner_version": "7.1.0",
        "pod_name": "jupyter-ada",
        "namespace": "jhub",
        "dns_name": "jupyter-ada.jhub.svc.cluster.local",
        "pvc_name": "claim-ada",
    }

    assert SavedState.load(state).dump() == state


def test_state_of_kubespawner_6_has_no_version_and_counts_as_unknown():
    loaded = SavedState.load({"pod_name": "jupyter-ada"})

    assert (loaded.pod_name, loaded.version) == ("jupyter-ada", UNKNOWN_VERSION)
    assert loaded.dump() == {"pod_name": "jupyter-ada"}


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


def test_no_state_says_nothing():
    assert SavedState.load({}).dump() == {}


@pytest.mark.parametrize("junk", [None, 7, "", [], {"a": 1}])
def test_a_field_that_is_no_text_counts_as_missing(junk):
    assert SavedState.load({"pod_name": junk, "kubespawner_version": "7.0.0"}).pod_name is None
