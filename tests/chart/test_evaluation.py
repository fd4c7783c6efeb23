"""Values become what the chart makes of them: compared with what it set, as that was recorded under another number."""

import json

import pytest

from devkit.chart.evaluation import Release, evaluate
from devkit.chart.values import merged, on_top_of, values_with
from k8s_hub.spawner.compat.models import to_json
from tests.manifests.golden import CHART

RECORDED = "4.3.0"


def as_json(traits):
    """Return traits as they were recorded: objects of the client library as JSON."""

    def plain(value):
        return to_json(value) if hasattr(value, "openapi_types") else value

    return {
        name: [plain(one) for one in value] if isinstance(value, list) else value
        for name, value in traits.items()
    }


def test_the_defaults_give_what_the_chart_gave():
    config = evaluate(values_with())
    recorded = json.loads(json.dumps(CHART).replace(RECORDED, Release().version))
    recorded["KubeSpawner"]["init_containers"] = [
        one["value"] for one in recorded["KubeSpawner"]["init_containers"]
    ]
    assert as_json(config.KubeSpawner) == recorded["KubeSpawner"]
    assert dict(config.Spawner) == recorded["Spawner"]
    assert recorded["JupyterHub"].items() <= dict(config.JupyterHub).items()


def test_what_is_appended_does_not_reach_the_values():
    values = values_with()
    assert as_json(evaluate(values).KubeSpawner) == as_json(evaluate(values).KubeSpawner)


def test_sections_of_the_config_are_updated_and_not_merged():
    labels = {"team": "physics"}
    config = evaluate(values_with({"hub": {"config": {"KubeSpawner": {"extra_labels": labels}}}}))
    assert config.KubeSpawner.extra_labels == labels


def test_services_come_from_the_chart_alone():
    config = evaluate(values_with({"hub": {"config": {"JupyterHub": {"services": []}}}}))
    assert [service["name"] for service in config.JupyterHub.services] == ["jupyterhub-idle-culler"]


def test_extra_config_is_run_in_the_order_of_its_names_in_one_namespace():
    pieces = {"20": "c.JupyterHub.answer = base * 7", "10": "base = 6"}
    assert evaluate(values_with({"hub": {"extraConfig": pieces}})).JupyterHub.answer == 42


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"b": None, "c": 2}}),
        ({"a": 1}, {"b": {"c": {"d": 1}}}, {"a": 1, "b": {"c": {"d": 1}}}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_files_are_merged_as_helm_does(below, above, expected):
    assert merged(below, above) == expected


@pytest.mark.parametrize(
    ("chart", "given", "expected"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, {"a": None}, {}),
        ({"a": {}}, {"a": {"b": None}}, {"a": {"b": None}}),
        ({"a": {"b": None}}, {}, {"a": {"b": None}}),
        ({"a": [1]}, {"a": [2]}, {"a": [2]}),
    ],
)
def test_files_are_put_on_top_of_the_chart_as_helm_does(chart, given, expected):
    assert on_top_of(chart, given) == expected
