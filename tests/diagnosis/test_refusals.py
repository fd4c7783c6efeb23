"""Refusals beyond the recorded ones (test_table.py): what is left out, and what is not known."""

import pytest

from k8s_hub.diagnosis.diagnosis import Reason, Stage
from k8s_hub.diagnosis.refusals import diagnose_refusal


def refused(message: str, code: int = 403, *, kind: str = "Pod", causes=()):
    status = {"message": message, "code": code, "details": {"causes": list(causes)}}
    return diagnose_refusal(status, kind, "jupyter-jane")


def test_a_webhooks_words_reach_the_user_without_its_markup_or_secrets():
    diagnosis = refused(
        'admission webhook "gate.example.org" denied the request: image <b>not</b> scanned,\n\tpassword=hunter2x'
    )
    assert diagnosis.reason is Reason.POLICY
    assert diagnosis.message == (
        "A policy of the cluster refuses your server: image <b>not</b> scanned, password=***"
    )


def test_a_webhook_without_words_says_that_it_has_none():
    diagnosis = refused('admission webhook "gate.example.org" denied the request without explanation')
    assert diagnosis.message.endswith("it gives no explanation")


def test_an_environment_variables_value_is_never_repeated():
    cause = {
        "reason": "FieldValueInvalid",
        "message": 'Invalid value: "hunter2"',
        "field": "spec.containers[0].env[3].value",
    }
    diagnosis = refused('Pod "x" is invalid: Invalid value: "hunter2"', 422, causes=[cause])
    assert "spec.containers[0].env[3].value is not valid" in diagnosis.message
    assert "hunter2" not in diagnosis.message + diagnosis.detail


def test_a_cause_that_names_no_field_is_no_field():
    diagnosis = refused("something is wrong", 422, causes=[{"message": "but where?"}])
    assert diagnosis.message == "The cluster refused to create your server. Please tell your administrator."


def test_an_unknown_refusal_keeps_the_servers_words_for_the_administrator():
    diagnosis = refused("something new", 418)
    assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (Stage.REQUEST, Reason.INVALID, True)
    assert diagnosis.detail == "Pod jupyter-jane: something new"


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_refusal_that_outlasts_the_callers_retries_is_the_clusters_fault(code):
    assert refused("etcdserver: request timed out", code).reason is Reason.CLUSTER_UNAVAILABLE


def test_an_empty_body_is_no_error():
    assert diagnose_refusal({}, "Service", "jupyter-jane").message == (
        "The cluster refused to create your server's service. Please tell your administrator."
    )


def test_a_quota_of_a_storage_class_is_read():
    diagnosis = refused(
        "exceeded quota: q, requested: fast.storageclass.storage.k8s.io/requests.storage=10Gi, "
        "used: fast.storageclass.storage.k8s.io/requests.storage=15Gi, "
        "limited: fast.storageclass.storage.k8s.io/requests.storage=20Gi",
        kind="PersistentVolumeClaim",
    )
    assert "it needs 10 GiB of disk space, and 15 GiB of 20 GiB are in use" in diagnosis.message


def test_another_controllers_quota_is_told_in_its_own_words():
    diagnosis = refused("exceeded quota: q, requested: two seats, used: many, limited: few")
    assert diagnosis.reason is Reason.QUOTA
    assert "requested: two seats" in diagnosis.message


def test_the_first_of_two_bounds_is_told():
    diagnosis = refused(
        'pods "x" is forbidden: [maximum cpu usage per Container is 1500m, but limit is 2, '
        "maximum memory usage per Container is 1Gi, but limit is 2Gi]"
    )
    assert diagnosis.message.startswith(
        "Your server asks for 2 CPUs, but the cluster allows at most 1.5 CPUs."
    )


def test_a_limit_range_that_wants_a_limit_says_so():
    diagnosis = refused("maximum memory usage per Container is 1Gi.  No limit is specified")
    assert "must say that it uses at most 1 GiB of memory" in diagnosis.message


def test_the_longest_message_is_bounded():
    diagnosis = refused('admission webhook "g" denied the request: ' + "x" * 5000)
    assert len(diagnosis.message) == 300
    assert len(diagnosis.detail) == 1000
