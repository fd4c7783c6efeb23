"""What a server says of its kernels and terminals, in and out of sense."""

from datetime import UTC, datetime

import pytest

from k8s_hub.culler.asking.work import LONGEST_QUOTE, BadWork, work_of
from k8s_hub.culler.judging.facts import Work

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def kernel(state="idle", *, connections=0, last_activity="2026-07-01T12:00:00.000000Z", **more):
    return {
        "id": "0",
        "name": "python3",
        "last_activity": last_activity,
        "execution_state": state,
        "connections": connections,
        **more,
    }


def terminal(last_activity="2026-07-01T12:00:00.000000Z"):
    return {"name": "1", "last_activity": last_activity}


@pytest.mark.parametrize("terminals", [[], None])
def test_a_server_that_runs_nothing(terminals):
    assert work_of([], terminals) == Work(busy=0, connections=0, last_execution=None)


def test_kernels_are_counted_and_the_newest_moment_of_all_is_told():
    kernels = [
        kernel("busy", connections=2, last_activity="2026-07-01T11:00:00Z"),
        kernel("busy", last_activity="2026-07-01T10:00:00Z", reason=""),
        kernel(connections=1, last_activity="2026-07-01T09:00:00Z"),
    ]
    work = work_of(kernels, [terminal("2026-07-01T08:00:00Z"), terminal("2026-07-01T14:00:00+02:00")])
    assert work == Work(busy=2, connections=3, last_execution=NOON)


@pytest.mark.parametrize("state", ["idle", "starting", "dead", "restarting", "unknown", None])
def test_only_a_busy_kernel_is_busy_but_each_has_its_time(state):
    assert work_of([kernel(state)], None) == Work(busy=0, connections=0, last_execution=NOON)


def test_an_answer_that_is_nested_as_deeply_as_can_be_is_a_bad_one():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadWork, match="nested too deeply"):
        work_of([kernel(connections=deep)], None)


def test_terminals_alone_have_a_time():
    assert work_of([], [terminal()]).last_execution == NOON


@pytest.mark.parametrize(
    "kernels",
    [
        None,
        {},
        {"kernels": []},
        "busy",
        7,
        [None],
        [[kernel()]],
        [{}],
        [kernel(3)],
        [kernel(["busy"])],
        [kernel(connections=None)],
        [kernel(connections="1")],
        [kernel(connections=1.0)],
        [kernel(connections=True)],
        [kernel(connections=-1)],
        [kernel(last_activity=None)],
        [kernel(last_activity=0)],
        [kernel(last_activity="")],
        [kernel(last_activity="yesterday")],
        [kernel(last_activity="2026-07-01T12:00:00")],
        [kernel(last_activity="2026-07-01")],
        [kernel(last_activity="0001-01-01T00:00:00+14:00")],
        [kernel(), kernel(last_activity="2026-07-01T12:00:00")],
    ],
)
def test_kernels_that_make_no_sense(kernels):
    with pytest.raises(BadWork):
        work_of(kernels, [])


@pytest.mark.parametrize(
    "terminals", [{}, "1", [None], [{}], [terminal("2026-07-01T12:00:00")], [terminal(1)], 0, False, ""]
)
def test_terminals_that_make_no_sense(terminals):
    with pytest.raises(BadWork):
        work_of([kernel()], terminals)


def test_what_makes_no_sense_is_named_and_quoted_in_short():
    with pytest.raises(BadWork, match="a kernel's last_activity is '2026-07-01', not a time with an offset"):
        work_of([kernel(last_activity="2026-07-01")], [])
    with pytest.raises(BadWork) as caught:
        work_of("x" * 10_000_000, [])
    assert len(str(caught.value)) < LONGEST_QUOTE + 50
