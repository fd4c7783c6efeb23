import json

import pytest

from devkit.chaos import checker, report
from devkit.chaos.checker import Violation
from devkit.chaos.record import End, Fault, Operation, Sample, Start

START = Start(
    at=0,
    seed=3,
    minutes=5,
    users=1,
    spawner="k8s_hub",
    hub=6,
    idle_timeout=60,
    cull_every=10,
    start_timeout=60,
    command="the command",
)


def test_healing_of_some_faults():
    healing = report.healing([1.0, 2.0, None, 4.0])
    assert (healing.faults, healing.p50, healing.p95, healing.longest, healing.unhealed) == (
        4,
        2.0,
        4.0,
        4.0,
        1,
    )


def test_rates_are_per_thousand_operations():
    violation = Violation(invariant="stale view", at=1, server="u1/", what="")
    assert report.per_thousand([violation, violation], 4000) == {"stale view": 0.5}


def test_a_page_says_what_was_done_what_went_wrong_and_how_to_repeat_it():
    start = Operation(begin=22, end=23, verb="start", server="u1/", status=202, outcome="ready")
    failed = Operation(
        begin=11, end=12, verb="start", server="u1/", status=202, outcome="failed", message="no"
    )
    activity = Operation(begin=30, end=30, verb="activity", server="u1/", status=200)
    seen = [Sample(at=at, servers={"u1/": "stopped"}) for at in range(60)]
    fault = Fault(kind="quota", begin=10, end=20)
    facts = checker.Facts([START, start, failed, activity, *seen, fault, End(load=50, at=60)])
    violation = Violation(invariant="stale view", at=22, server="u1/", what="for 9 s")
    figures = json.loads(json.dumps(report.summary(facts, [violation])))
    assert figures["operations"] == 2
    assert figures["failed starts by fault"] == {"quota": 1}
    assert figures["healing"]["quota"]["p50"] == pytest.approx(3.0)
    text = report.text(figures)
    assert "stale view 500.0" in text
    assert "stale view: u1/: for 9 s (after: quota)" in text
    assert text.endswith("again: the command")


@pytest.mark.parametrize(
    ("healed", "cell"),
    [
        ([1.0, 2.0], "1.0 / 2.0 / 2.0 (2)"),
        ([1.0, None], "1.0 / 1.0 / 1.0; 1 of 2 not healed"),
        ([None], "1 of 1 not healed"),
    ],
)
def test_tables_have_a_column_for_each_spawner(healed, cell):
    def figures(spawner, seconds, violations):
        return {
            "begin": {"spawner": spawner, "hub": 6, "seed": 1},
            "operations": 500,
            "starts by outcome": {"failed": 3},
            "violations": [{"invariant": "stale view"}] * violations,
            "healed in": [["quota", each] for each in seconds],
        }

    table = report.markdown([figures("k8s_hub", [1.0], 0), figures("kubespawner", healed, 2)])
    assert "| operations | 500 | 500 |" in table
    assert "| stale view | 0 | 2 (4.00) |" in table
    assert f"| quota | 1.0 / 1.0 / 1.0 (1) | {cell} |" in table
    assert table.index("| all faults |") < table.index("| quota |")
