"""The board: what it still knows after a sweep."""

from datetime import timedelta

from devkit.testing.inmemoryhub import NOW, server, user
from k8s_hub.culler.core.decision import Action
from k8s_hub.culler.core.policy import Work, facts_of
from k8s_hub.culler.core.report import SWEEPS_KEPT, Board, Report, SweepRecord
from k8s_hub.culler.core.rules import Limits
from k8s_hub.culler.decider import Decider

DECIDER = Decider(limits=Limits(timeout=timedelta(hours=1)))
WORK = Work(busy=1, connections=2, last_execution=NOW)


def ended(report=None, error=None):
    return SweepRecord(kind="sweep", begun=NOW, seconds=1.0, report=report, error=error)


async def on_decision(board, *names, work=None, action=Action.KEPT):
    for name in names:
        one = server(name)
        board.on_decision(await DECIDER.decide(facts_of(one, user(name, one), work=work), NOW), action)


def names(board):
    return [seen.user for seen in board.servers]


async def test_a_whole_sweep_forgets_what_it_did_not_see():
    board = Board()
    await on_decision(board, "bob", "alice")
    assert names(board) == ["alice", "bob"]
    board.on_sweep(ended(Report()))
    await on_decision(board, "alice", "zoe")
    assert names(board) == ["alice", "bob", "zoe"], "the sweep is under way"
    board.on_sweep(ended(Report()))
    assert names(board) == ["alice", "zoe"]


async def test_a_sweep_that_failed_or_lost_something_forgets_nothing():
    for record in (ended(error="the hub is away"), ended(Report(lost=1))):
        board = Board()
        await on_decision(board, "alice")
        board.on_sweep(ended(Report()))
        await on_decision(board, "bob")
        board.on_sweep(record)
        assert names(board) == ["alice", "bob"]


async def test_the_last_answer_of_a_server_is_the_one_that_counts():
    board = Board()
    await on_decision(board, "alice", work=WORK)
    board.on_sweep(ended(Report()))
    assert board.work("alice", "") == WORK
    await on_decision(board, "alice")
    assert board.work("alice", "") is None
    assert board.work("bob", "") is None


async def test_only_the_last_sweeps_are_held():
    board = Board()
    for _ in range(SWEEPS_KEPT + 3):
        board.on_sweep(ended(Report()))
    assert len(board.sweeps) == SWEEPS_KEPT
