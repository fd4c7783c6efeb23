"""What Prometheus sees of sweeps, decisions and answers; the reference lists all of it."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from devkit.testing.inmemoryhub import NOW, server, user
from k8s_hub.culler.core.decision import Action, Decision
from k8s_hub.culler.core.policy import Cause, Facts, Verdict
from k8s_hub.culler.core.report import Report, SweepRecord
from k8s_hub.culler.core.rules import Limits, MatchedRule
from k8s_hub.culler.metrics import PREFIX, Metrics

REFERENCE = Path(__file__).parents[2] / "docs/reference/culler-metrics.md"


@pytest.fixture
def metrics():
    return Metrics(slots=lambda: 7)


def decision(name, cause):
    ada = server(name)
    return Decision(
        facts=Facts(server=ada, user=user(name, ada)),
        matched=MatchedRule(limits=Limits(timeout=timedelta(hours=1))),
        verdict=Verdict(culls=cause is Cause.IDLE, cause=cause, reason="is what it is"),
        at=NOW,
    )


def swept(report, *, kind="sweep", seconds=4.0, error=None):
    return SweepRecord(kind=kind, begun=NOW, seconds=seconds, report=report, error=error)


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(f"{PREFIX}_{name}", labels)


def test_servers_by_action_and_cause(metrics):
    metrics.on_decision(decision("ada", Cause.IDLE), Action.STOPPED)
    metrics.on_decision(decision("bob", Cause.IDLE), Action.STOPPING)
    metrics.on_decision(decision("cyd", Cause.IN_USE), Action.KEPT)
    metrics.on_decision(decision("dan", Cause.IN_USE), Action.KEPT)
    assert value(metrics, "servers", action="kept", cause="in use") is None, "the sweep is not over"
    metrics.on_sweep(swept(Report()))
    assert value(metrics, "servers", action="stopped", cause="idle") == 1
    assert value(metrics, "servers", action="stopping", cause="idle") == 1
    assert value(metrics, "servers", action="kept", cause="in use") == 2
    assert value(metrics, "stopped_servers_total", cause="idle") == 2


def test_the_next_sweep_replaces_what_the_last_one_saw_but_not_what_was_stopped(metrics):
    metrics.on_decision(decision("ada", Cause.IDLE), Action.STOPPED)
    metrics.on_sweep(swept(Report(users=3)))
    metrics.on_decision(decision("bob", Cause.BUSY), Action.KEPT)
    metrics.on_sweep(swept(Report(users=2)))
    assert value(metrics, "servers", action="stopped", cause="idle") is None
    assert value(metrics, "servers", action="kept", cause="busy") == 1
    assert value(metrics, "users") == 2
    assert value(metrics, "stopped_servers_total", cause="idle") == 1


def test_what_would_be_stopped_is_not_stopped(metrics):
    metrics.on_decision(decision("ada", Cause.IDLE), Action.WOULD_STOP)
    metrics.on_sweep(swept(Report(), kind="look"))
    assert value(metrics, "servers", action="would stop", cause="idle") == 1
    assert value(metrics, "stopped_servers_total", cause="idle") is None


def test_a_sweep_that_failed_shows_what_the_last_good_one_saw(metrics):
    metrics.on_decision(decision("ada", Cause.IN_USE), Action.KEPT)
    metrics.on_sweep(swept(Report(users=1)))
    metrics.on_decision(decision("bob", Cause.BUSY), Action.KEPT)
    metrics.on_sweep(swept(None, error="away"))
    metrics.on_sweep(swept(None, error="away"))
    assert value(metrics, "passes_total", kind="sweep", result="failure") == 2
    assert value(metrics, "passes_total", kind="sweep", result="success") == 1
    assert value(metrics, "servers", action="kept", cause="in use") == 1
    assert value(metrics, "servers", action="kept", cause="busy") is None
    assert value(metrics, "pass_duration_seconds_count", kind="sweep") == 1


def test_when_a_sweep_last_ended_well(metrics):
    metrics.on_sweep(swept(Report(), kind="look", seconds=2.0))
    assert value(metrics, "last_success_timestamp_seconds", kind="look") == NOW.timestamp() + 2
    assert value(metrics, "last_success_timestamp_seconds", kind="sweep") is None
    metrics.on_sweep(swept(Report(), seconds=30.0))
    assert value(metrics, "last_success_timestamp_seconds", kind="sweep") == NOW.timestamp() + 30
    assert value(metrics, "pass_duration_seconds_sum", kind="sweep") == 30


def test_the_counts_of_reports_add_up(metrics):
    report = Report(
        hidden=3,
        warned=2,
        probed=5,
        answered=4,
        deleted=1,
        delete_failed=6,
        failed=7,
        lost=8,
        stop_seconds=(1.5, 20.0),
    )
    for _ in range(2):
        metrics.on_sweep(swept(report))
    assert value(metrics, "hidden_users") == 3
    assert value(metrics, "warnings_total") == 4
    assert value(metrics, "asked_servers_total") == 10
    assert value(metrics, "answered_servers_total") == 8
    assert value(metrics, "deleted_users_total") == 2
    assert [value(metrics, "failures_total", what=what) for what in ("server", "user", "list")] == [
        14,
        12,
        16,
    ]
    assert value(metrics, "stop_duration_seconds_count") == 4
    assert value(metrics, "stop_duration_seconds_sum") == 43


def test_the_brake_counts_sweeps_and_quiet_is_of_now(metrics):
    for report in (Report(held_by_brake=40, held_by_grace=5), Report(held_by_brake=1), Report()):
        metrics.on_sweep(swept(report))
    assert value(metrics, "brake_engaged_total") == 2
    assert value(metrics, "quiet") == 0
    metrics.on_sweep(swept(Report(held_by_grace=5)))
    assert value(metrics, "quiet") == 1


def test_answers_by_method_and_code(metrics):
    for method, code in (("GET", 200), ("GET", 200), ("GET", 503), ("DELETE", 0)):
        metrics.on_reply(method, code, 0.25)
    assert value(metrics, "hub_requests_total", method="GET", code="200") == 2
    assert value(metrics, "hub_requests_total", method="DELETE", code="0") == 1
    assert value(metrics, "hub_reply_duration_seconds_sum", method="GET") == 0.75
    assert value(metrics, "hub_reply_duration_seconds_count", method="DELETE") is None, "there was no reply"


def test_concurrency_is_that_of_now_where_it_is_known(metrics):
    assert value(metrics, "concurrency") == 7
    assert value(Metrics(), "concurrency") is None


def test_no_name_of_a_user_and_no_reason_is_told(metrics):
    told = replace(decision("secret-ada", Cause.IDLE), verdict=Verdict.cull(Cause.IDLE, "is secret-ada's"))
    for action in Action:
        metrics.on_decision(told, action)
    metrics.on_sweep(swept(Report(), error="secret-ada"))
    metrics.on_sweep(swept(None, error="secret-ada"))
    assert b"secret-ada" not in generate_latest(metrics.registry)


def test_the_process_itself_is_measured(metrics):
    assert metrics.registry.get_sample_value("process_resident_memory_bytes") > 1e6


def test_the_reference_lists_every_metric_with_type_labels_and_words(metrics):
    row = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", re.MULTILINE)
    listed = {name: (kind, labels, words) for name, kind, labels, words in row.findall(REFERENCE.read_text())}
    known = {}
    for family in metrics.registry.collect():
        if family.name.startswith(PREFIX):
            name = family.name + ("_total" if family.type == "counter" else "")
            known[name] = (family.type, _labels(metrics, family.name), family.documentation)
    assert listed == known


@pytest.mark.parametrize("words", [Action, Cause])
def test_the_reference_lists_what_labels_can_be(words):
    reference = " ".join(REFERENCE.read_text().split())
    assert [word.value for word in words if f"`{word.value}`" not in reference] == []


def _labels(metrics, family):
    return ", ".join(f"`{label}`" for label in metrics.registry._names_to_collectors[family]._labelnames)


def test_prometheus_own_parser_reads_it(metrics):
    metrics.on_sweep(swept(Report()))
    names = {
        family.name for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
    }
    assert f"{PREFIX}_passes" in names
