from devkit.perturb.cases import Case, Moment, Write, cases_of, coverage, surprises, uncovered, writes_of
from devkit.perturb.scenarios import COMMANDS, PLAIN, SCENARIOS, Scenario, Step
from devkit.realcluster.audit import Request


def asked(verb, resource, code=201):
    return Request(verb=verb, resource=resource, namespace="hub", code=code)


START = Scenario("start", PLAIN, (), (Step.START,), ("create persistentvolumeclaims", "create pods"))
REQUESTS = [
    asked("list", "pods", 200),
    asked("create", "persistentvolumeclaims"),
    asked("create", "pods", 403),  # the namespace is new
    asked("create", "pods"),
    asked("watch", "pods", 200),
]


def test_each_write_that_was_done_has_a_case_for_each_moment():
    claim, pod = Write("create", "persistentvolumeclaims"), Write("create", "pods")
    assert writes_of(REQUESTS) == [claim, pod]
    cases = cases_of(START, writes_of(REQUESTS))
    assert cases == [Case("start", write, moment) for write in (claim, pod) for moment in Moment]


def test_writes_of_one_kind_are_told_apart_by_their_number():
    writes = writes_of([asked("delete", "pods", 200), asked("create", "pods"), asked("delete", "pods", 200)])
    assert [str(write) for write in writes] == ["delete pods", "create pods", "delete pods (2)"]


def test_a_write_that_the_scenario_does_not_name_is_a_surprise_and_so_is_one_that_does_not_come():
    assert surprises(START, writes_of(REQUESTS)) == []
    assert surprises(START, writes_of([*REQUESTS, asked("create", "secrets")])) == [
        "start: `create secrets` is in the audit log and not in the scenario"
    ]
    assert surprises(START, writes_of([*REQUESTS, asked("create", "pods")])) == [
        "start: `create pods` is in the audit log and not in the scenario"
    ]
    assert surprises(START, writes_of(REQUESTS[:3])) == [
        "start: `create pods` is in the scenario and not in the audit log"
    ]


def test_a_write_after_a_kill_that_no_case_has_is_a_gap():
    cases = cases_of(START, writes_of(REQUESTS))
    assert uncovered(REQUESTS, cases) == []
    assert uncovered([*REQUESTS, asked("patch", "pods", 200)], cases) == [
        "`patch pods` is in the audit log, and no case has it"
    ]


def test_the_table_has_a_row_for_each_write_and_shows_what_was_not_run():
    cases = cases_of(START, writes_of(REQUESTS))
    table = coverage(cases, {str(cases[0]): "ok", str(cases[1]): "VIOLATED"})
    assert len(table) == 3
    assert "ok" in table[1]
    assert "VIOLATED" in table[1]
    assert table[2].count("not run") == len(Moment)


def test_every_scenario_has_a_name_of_its_own_and_writes():
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert all(scenario.writes for scenario in SCENARIOS)


def test_a_command_is_the_only_step_of_its_scenario():
    """The process of a command is killed, not the hub: nothing else may write meanwhile."""
    assert all(len(scenario.act) == 1 for scenario in SCENARIOS if set(scenario.act) & set(COMMANDS))


def test_a_pod_is_there_once_its_creation_was_committed():
    cases = cases_of(START, writes_of(REQUESTS))
    assert [str(case) for case in cases if case.has_pod] == [
        "start, create pods, committed",
        "start, create pods, replied",
    ]
