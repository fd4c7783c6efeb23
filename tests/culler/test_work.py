"""What a server says of its kernels and terminals, in and out of sense."""

from datetime import UTC, datetime

import pytest

from k8s_hub.culler.core.policy import Work
from k8s_hub.culler.core.probing import MOST_CONNECTIONS, MOST_ITEMS, Answer

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
PART = Work(busy=1, connections=0, last_execution=NOON, is_partial=True)


def answer(kernels, terminals=()):
    """What a server says in its two answers."""
    said = Answer()
    said.add_kernels(kernels)
    said.add_terminals(None if terminals is None else list(terminals))
    return said


def work_of(kernels, terminals=()):
    return answer(kernels, terminals).work


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
    assert "kernels are [[" in answer(deep).problem
    assert "connections are [[" in answer([kernel(connections=deep)]).problem


def test_terminals_alone_have_a_time():
    assert work_of([], [terminal()]).last_execution == NOON


# --- Half an answer ---

ODD = [
    None,
    [kernel()],
    {},
    kernel(3),
    kernel(["busy"]),
    kernel(connections=None),
    kernel(connections="1"),
    kernel(connections=1.0),
    kernel(connections=True),
    kernel(connections=-1),
    kernel(connections=MOST_CONNECTIONS + 1),
    kernel(connections=10**4300 - 1),
    kernel(last_activity=None),
    kernel(last_activity=0),
    kernel(last_activity=""),
    kernel(last_activity="yesterday"),
    kernel(last_activity="2026-07-01T12:00:00"),
    kernel(last_activity="2026-07-01"),
    kernel(last_activity="0001-01-01T00:00:00+14:00"),
    kernel(last_activity="9" * 1_000_000),
]
NO_LIST = [None, {}, {"kernels": [kernel("busy")]}, "busy", 7, 10**4300 - 1]
odd = pytest.mark.parametrize("part", ODD, ids=map(str, range(len(ODD))))


@odd
@pytest.mark.parametrize("first", [True, False])
def test_a_busy_kernel_counts_beside_one_that_makes_no_sense(part, first):
    busy = kernel("busy")
    assert work_of([busy, part] if first else [part, busy]) == PART


@odd
def test_what_makes_no_sense_alone_says_no_more_than_can_be_read(part):
    work = work_of([part])
    assert work is None or work == Work(
        busy=0, connections=work.connections, last_execution=NOON, is_partial=True
    )


@pytest.mark.parametrize("field", ["last_activity", "connections", "execution_state"])
def test_a_kernel_that_lacks_a_field_counts_for_the_others(field):
    """A busy kernel whose last activity nobody knows is busy all the same."""
    raw = kernel("busy", connections=2)
    del raw[field]
    work = work_of([raw])
    if field == "execution_state":  # a kernel that was not asked yet has none: nothing is missing
        assert work == Work(busy=0, connections=2, last_execution=NOON)
    else:
        assert work.busy == 1
        assert work.is_partial


@pytest.mark.parametrize("terminals", [{}, "1", 0, False, "", 10**4300 - 1], ids=lambda _: "")
def test_terminals_that_make_no_sense_take_nothing_from_the_kernels(terminals):
    said = Answer()
    said.add_kernels([kernel("busy")])
    said.add_terminals(terminals)
    assert said.work == PART
    assert "terminals are" in said.problem


@pytest.mark.parametrize("terminals", [[None], [{}], [terminal("2026-07-01T12:00:00")], [terminal(1)]])
def test_a_terminal_that_makes_no_sense_takes_nothing_from_the_kernels(terminals):
    assert work_of([kernel("busy")], terminals) == PART


@pytest.mark.parametrize("kernels", NO_LIST, ids=lambda _: "")
def test_kernels_that_make_no_sense_take_nothing_from_the_terminals(kernels):
    assert work_of(kernels) is None
    assert work_of(kernels, [terminal()]) == Work(busy=0, connections=0, last_execution=NOON, is_partial=True)


def test_a_list_without_end_is_read_for_its_beginning():
    said = answer([kernel("busy")] * (MOST_ITEMS + 1))
    assert (said.busy, said.work.is_partial) == (MOST_ITEMS, True)


def test_no_sum_is_too_large_to_be_written():
    """A page, a log or explain that printed it would fail."""
    work = work_of([kernel(connections=MOST_CONNECTIONS)] * MOST_ITEMS)
    assert len(str(work.connections)) < 12
    assert answer([kernel(connections=10**4300 - 1)] * 2).work.connections == 0


def test_the_first_part_that_makes_no_sense_is_named_and_quoted_in_short():
    said = answer([kernel(last_activity="2026-07-01"), kernel(connections="x")])
    assert said.problem == "a kernel's last_activity is '2026-07-01', not a time with an offset"
    assert len(answer("x" * 10_000_000).problem) < 120
