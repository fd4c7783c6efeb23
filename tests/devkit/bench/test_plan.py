import pytest

from devkit.bench.beside.hub import pieces_in, traits_in
from devkit.bench.beside.plan import HUB_ALONE, OURS, PEER, parse
from devkit.chart.values import FILES, load


def test_a_large_hub_is_measured_only_where_somebody_asks_for_it():
    assert "large" not in parse([]).parts
    assert parse(["--only", "large"]).parts == ("large",)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [([], [HUB_ALONE.name, OURS.name]), (["--subjects", "kubespawner"], [PEER.name])],
)
def test_of_large_hubs_kubespawner_is_measured_only_where_somebody_asks_for_it(arguments, names):
    assert [subject.name for subject in parse(arguments).large_subjects] == names


def test_the_cluster_has_room_for_the_largest_measurement_that_is_asked_for():
    small = ["--users", "300", "--few", "30", "--class-users", "200"]
    assert parse([*small, "--only", "burst", "class"]).most_pods == 330
    assert parse([*small, "--only", "large", "--large-users", "5000"]).most_pods == 5000


def test_a_large_hub_has_what_its_file_of_values_sets():
    values = load(FILES / "large-hub.yaml")
    traits, (piece,) = traits_in(values), pieces_in(values)
    assert traits["JupyterHub"] == {**values["hub"]["config"]["JupyterHub"], "concurrent_spawn_limit": 0}
    assert traits["KubeSpawner"]["concurrent_starts"] == 64
    assert traits["KubeSpawner"]["environment"] == values["singleuser"]["extraEnv"]
    assert "journal_mode=WAL" in piece
    assert (traits_in({}), pieces_in({})) == ({}, [])
