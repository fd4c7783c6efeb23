"""What a DELETE means for which object."""

from datetime import UTC, datetime

import pytest

from devkit.minicluster.deletion import DeleteOptions, check_preconditions, parse_options, plan_deletion
from devkit.minicluster.resources import CLAIMS, PODS, SECRETS
from devkit.minicluster.statuses import StatusError

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def stored(phase="Running", node="mini", **metadata):
    return {
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "default", "uid": "u", "resourceVersion": "5"} | metadata,
        "spec": {"terminationGracePeriodSeconds": 30} | ({"nodeName": node} if node else {}),
        "status": {"phase": phase},
    }


def ending(pod, grace=None):
    planned = plan_deletion(PODS, pod, DeleteOptions(grace_seconds=grace), NOW)
    return planned["metadata"]["deletionTimestamp"] if planned else None


@pytest.mark.parametrize(
    ("pod", "grace", "expected"),
    [
        (stored(), None, "2026-01-01T12:00:30Z"),
        (stored(), 5, "2026-01-01T12:00:05Z"),
        (stored(), 0, None),
        (stored(node=None, phase="Pending"), None, None),
        (stored(phase="Succeeded"), None, None),
        (stored(phase="Failed"), 5, None),
        (stored(deletionTimestamp="2026-01-01T12:00:20Z"), None, "2026-01-01T12:00:20Z"),
        (stored(deletionTimestamp="2026-01-01T12:00:20Z"), 5, "2026-01-01T12:00:05Z"),
        (stored(deletionTimestamp="2026-01-01T12:00:20Z"), 60, "2026-01-01T12:00:20Z"),
        (stored(deletionTimestamp="2026-01-01T12:00:20Z"), 0, None),
    ],
)
def test_a_pod_on_a_node_gets_its_grace_any_other_goes_at_once(pod, grace, expected):
    assert ending(pod, grace) == expected


def test_a_claim_waits_for_its_controller_and_a_secret_for_nobody():
    assert plan_deletion(CLAIMS, stored(), DeleteOptions(), NOW)["metadata"]["deletionTimestamp"]
    assert plan_deletion(SECRETS, stored(), DeleteOptions(), NOW) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (DeleteOptions(uid="other"), r"the UID in the precondition \(other\)"),
        (DeleteOptions(resource_version="4"), r"the ResourceVersion in the precondition \(4\)"),
    ],
)
def test_a_precondition_that_does_not_hold_is_a_conflict(options, said):
    with pytest.raises(StatusError, match=said) as caught:
        check_preconditions(PODS, stored(), options)
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")


def test_preconditions_that_hold_say_nothing():
    check_preconditions(PODS, stored(), DeleteOptions(uid="u", resource_version="5"))


@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        (None, {}, DeleteOptions()),
        ({"gracePeriodSeconds": 3}, {"gracePeriodSeconds": "9"}, DeleteOptions(grace_seconds=3)),
        ({}, {"gracePeriodSeconds": "9"}, DeleteOptions(grace_seconds=9)),
        ({"gracePeriodSeconds": -1}, {}, DeleteOptions(grace_seconds=0)),
        ({"preconditions": {"uid": "u"}, "propagationPolicy": "Background"}, {}, DeleteOptions(uid="u")),
    ],
)
def test_options_come_from_the_body_or_the_query(body, query, expected):
    assert parse_options(body, query) == expected
