"""What is read of a saved state, and what is written; tests/spawner has the states of every era."""

from datetime import UTC, datetime

import pytest

from k8s_hub.claims.saved_state import UNKNOWN_VERSION, LastEnd, SavedState


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


def test_the_end_of_the_last_server_is_kept():
    end = LastEnd(at=datetime(2026, 7, 1, 12, tzinfo=UTC), cause="it crashed (exit code 1)")
    dumped = SavedState(last_end=end).dump()
    assert dumped == {"last_end": {"at": "2026-07-01T12:00:00Z", "cause": "it crashed (exit code 1)"}}
    assert SavedState.load(dumped).last_end == end


@pytest.mark.parametrize("junk", [7, {}, {"at": "today", "cause": "x"}, {"at": "2026-07-01T12:00:00Z"}])
def test_anything_else_is_no_end(junk):
    assert SavedState.load({"last_end": junk}).last_end is None
