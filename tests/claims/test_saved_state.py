"""What is read of a saved state, and what is written; tests/spawner has the states of every era."""

import pytest

from k8s_hub.claims.saved_state import UNKNOWN_VERSION, SavedState


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


def test_no_state_says_nothing():
    assert SavedState.load({}).dump() == {}


@pytest.mark.parametrize("junk", [None, 7, "", [], {"a": 1}])
def test_a_field_that_is_no_text_counts_as_missing(junk):
    assert SavedState.load({"pod_name": junk, "kubespawner_version": "7.0.0"}).pod_name is None
