"""The reference lists the metrics of the spawner, and alerts name metrics and values that there are."""

import re
from pathlib import Path

import yaml
from jupyterhub.scopes import scope_definitions

import k8s_hub
from devkit.chart.evaluation import evaluate
from devkit.chart.values import values_with
from k8s_hub.culler.metrics import Metrics
from k8s_hub.diagnosis.diagnosis import Reason
from k8s_hub.kube import metrics as of_kube
from k8s_hub.orphans import reconciler
from k8s_hub.spawner import failures, run_log, start_queue, stop

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference/spawner-metrics.md"
ALERTS = (PAGE, DOCS / "reference/culler-metrics.md")
METRICS = [
    failures.FAILURES,
    run_log.ENDS,
    start_queue.QUEUED,
    stop.STOP_TIMEOUTS,
    reconciler.ORPHANS,
    of_kube.REQUESTS,
    of_kube.LISTS,
    of_kube.PENDING_DELETES,
]


def blocks(page, language="yaml"):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def described(metric):
    """The name, type, labels and help of a metric, as its row has them."""
    (family,) = metric.collect()
    suffix = "_total" if family.type == "counter" else ""
    labels = ", ".join(f"`{name}`" for name in metric._labelnames)
    return f"{family.name}{suffix}", family.type, labels, family.documentation


def test_the_reference_lists_each_metric_of_the_hubs_process():
    declared = {
        name
        for path in Path(k8s_hub.__file__).parent.rglob("*.py")
        if path.parent.name != "culler"
        for name in re.findall(r'(?:Counter|Gauge|Histogram)\(\s*"(k8s_hub_\w+)"', path.read_text())
    }
    rows = re.findall(r"^\| `(k8s_hub_\w+)` \| (\w+) \| (.*?) ?\| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert {name for name, *_ in rows} == declared
    assert rows == [described(metric) for metric in METRICS]


def test_alerts_name_metrics_and_reasons_that_there_are():
    culler = [(each.name, each.type) for each in Metrics().registry.collect()]
    there = {name + ("_total" if kind == "counter" else "") for name, kind in culler}
    there |= {described(metric)[0] for metric in METRICS}
    groups = [group for page in ALERTS for text in blocks(page) for group in yaml.safe_load(text)["groups"]]
    alerts = [alert for group in groups for alert in group["rules"]]
    assert len(alerts) > 6
    for alert in alerts:
        named = set(re.findall(r"k8s_hub_\w+", alert["expr"]))
        assert named
        assert named <= there, alert
    reasons = {
        one
        for alert in alerts
        for text in re.findall(r'spawn_failures_total\{reason!?=~?"([^"]+)"', alert["expr"])
        for one in text.split("|")
    }
    assert reasons
    assert reasons <= {reason.value for reason in Reason}


def test_the_token_of_the_guide_reads_metrics_and_nothing_else():
    (text,) = (
        text for text in blocks(DOCS / "howto/metrics.md", r"yaml") if text.lstrip().startswith("hub:")
    )
    config = evaluate(values_with(yaml.safe_load(text)))
    assert {"name": "prometheus"} in config.JupyterHub.services
    (role,) = [one for one in config.JupyterHub.load_roles if one["name"] == "prometheus"]
    assert role == {"name": "prometheus", "services": ["prometheus"], "scopes": ["read:metrics"]}
    assert "read:metrics" in scope_definitions
