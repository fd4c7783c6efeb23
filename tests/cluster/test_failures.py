"""Failures that need no machine: judged by the real API server and the real controllers."""

import asyncio
import contextlib

import pytest

from devkit.realcluster.api import RefusedError
from devkit.testing.realhub import Answer
from tests.fates import CONTROL_USER, Case, Fate, play

pytestmark = [pytest.mark.cluster, pytest.mark.hub]

STARTING = "While a server starts"

STARTS = [
    Case(
        fate=Fate(user="ada-quota", traits={"mem_guarantee": "2G", "priority_class_name": "large"}),
        what="A quota leaves too little memory.",
        words="Not enough quota: your server needs 2 GiB of memory, and only 1 GiB is allowed",
        log="exceeded quota: large",
        reason="quota",
    ),
    Case(
        fate=Fate(user="ada-class", traits={"storage_class": "fast"}),
        what="The home volume is of a storage class that nobody made.",
        words='(storage class "fast")',
        log='storageclass.storage.k8s.io "fast" not found',
        reason="storage_class",
    ),
]


def make_quota(stage):
    """Only pods of the priority class count."""
    priority = {"metadata": {"name": "large"}, "value": 1}
    with contextlib.suppress(RefusedError):  # it outlives the namespace
        stage.plane.admin.create("/apis/scheduling.k8s.io/v1/priorityclasses", priority)
    scope = {"scopeName": "PriorityClass", "operator": "In", "values": ["large"]}
    spec = {"hard": {"requests.memory": "1Gi"}, "scopeSelector": {"matchExpressions": [scope]}}
    stage.plane.admin.create(f"{stage.path}/resourcequotas", {"metadata": {"name": "large"}, "spec": spec})


@pytest.fixture(scope="module")
def ending(control_plane, tmp_path_factory):
    """All fates at once, in one hub."""

    async def run():
        listener = await asyncio.get_running_loop().create_server(Answer, "0.0.0.0", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener:
            return await play(
                control_plane,
                tmp_path_factory.mktemp("fates"),
                [case.fate for case in STARTS],
                prepare=make_quota,
                port=port,
            )

    return asyncio.run(run())


@pytest.mark.parametrize("case", STARTS, ids=str)
def test_a_start_fails_and_the_user_reads_why(case, ending, failure_table):
    outcome = ending.outcomes[case.fate.user]
    assert case.words in outcome.sentence
    assert case.log in outcome.detail
    assert outcome.reason == case.reason
    failure_table.see(outcome.row(STARTING, case))


def test_every_reason_is_counted_once_and_none_against_the_hub(ending, failure_table):
    failure_table.slow_callbacks["two fates at once, control plane"] = ending.slow_callbacks
    assert ending.reasons == {case.reason: 1 for case in STARTS}
    assert ending.failure_count == 0


def test_nothing_is_left_but_homes(ending):
    users = {CONTROL_USER, *(case.fate.user for case in STARTS)}
    assert ending.pods == {f"jupyter-{CONTROL_USER}"}
    assert ending.claims == {f"claim-{user}" for user in users}
