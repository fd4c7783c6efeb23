"""The bodies of refusals are those that the real server was recorded with."""

import json
import re
from pathlib import Path

import pytest

from devkit.minicluster import statuses
from devkit.minicluster.admission import admit
from devkit.minicluster.resources import PODS
from devkit.minicluster.statuses import StatusError
from tests.devkit.minicluster.material import pod

RECORDED = Path(__file__).parents[2] / "data" / "recorded"


def recorded(name):
    return json.loads((RECORDED / f"{name}.json").read_text())["status"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("already_exists", statuses.already_exists("pods", "jupyter-alice")),
        ("not_found", statuses.not_found("pods", "jupyter-alice")),
        ("namespace_missing", statuses.not_found("namespaces", "jhub-alice")),
        (
            "namespace_terminating",
            statuses.namespace_ending("persistentvolumeclaims", "claim-alice", "jhub-namespace-terminating"),
        ),
        ("unauthorized", statuses.unauthorized()),
        ("gone_list", statuses.continue_expired(recorded("gone_list")["metadata"]["continue"])),
    ],
)
def test_a_refusal_is_word_for_word(name, error):
    assert error.body == recorded(name)


def test_a_watch_from_too_long_ago_ends_word_for_word():
    real = recorded("gone_watch")
    asked, oldest = map(int, re.findall(r"\d+", real["message"]))
    assert statuses.too_old(asked, oldest).body == real


def test_an_invalid_name_is_refused_word_for_word():
    with pytest.raises(StatusError) as caught:
        admit(PODS, "default", pod("jupyter_Alice"), "")
    assert caught.value.body == recorded("invalid_name")


def test_a_conflict_names_the_kind_as_the_server_does():
    real = recorded("conflict_uid")
    cause = real["message"].split(": ", 1)[1]
    assert statuses.conflict("Pod", "jupyter-alice", cause).body == real
