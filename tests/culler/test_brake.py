"""The brake: who is held back when too much would stop at once."""

import logging
from datetime import timedelta

import pytest

from devkit.testing.inmemoryhub import NOW, InMemoryHub, server, user
from k8s_hub.culler.core.extensions import ExtensionLimits
from k8s_hub.culler.core.policy import held_by_brake
from k8s_hub.culler.core.report import SweepRecord
from k8s_hub.culler.core.rules import Limits
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.event_bus import EventBus
from k8s_hub.culler.state import StateStore
from k8s_hub.culler.sweep import Sweep, SweepOptions
from k8s_hub.culler.wiring import _remember_stops

LIMITS = Limits(timeout=timedelta(hours=1))


def keys(number, start=0):
    return [(f"user{index}", "") for index in range(start, start + number)]


@pytest.mark.parametrize(
    ("to_stop", "in_use_before", "running", "percent", "held"),
    [
        (keys(60), keys(100), 100, 50, 60),
        (keys(50), keys(100), 100, 50, 0),  # not more than half
        (keys(51), keys(100), 100, 50, 51),
        (keys(9), keys(9), 9, 50, 0),  # a small hub
        (keys(10), keys(10), 10, 50, 10),
        (keys(90), keys(40, start=60), 100, 50, 0),  # 60 were idle before: these 30 are not too many
        (keys(90), keys(60, start=30), 100, 50, 60),  # ... and these are, but the other 30 go
        (keys(90), [], 100, 50, 0),  # nobody was in use before
        (keys(100), keys(100), 100, 0, 0),  # no brake
        (keys(100), keys(100), 100, 100, 0),
        ([], keys(100), 100, 50, 0),
        ([], [], 0, 50, 0),
    ],
)
def test_so_many_are_held_back(to_stop, in_use_before, running, percent, held):
    assert len(held_by_brake(to_stop, frozenset(in_use_before), running, percent)) == held


async def test_a_clock_that_jumps_stops_nothing_at_first(caplog):
    """The look before saw all in use. One sweep is left out; if the clock is still there, the next goes on."""
    hub = InMemoryHub(
        *(user(f"user{index}", server(f"user{index}", idle=timedelta(minutes=1))) for index in range(20)),
        *(user(f"idle{index}", server(f"idle{index}")) for index in range(5)),
    )
    clock = [NOW]
    told = []
    sweep = Sweep(
        hub,
        SweepOptions(),
        Decider(limits=LIMITS),
        lambda: clock[0],
        on_decision=lambda *fate: told.append(fate),
    )
    await sweep.dry_run()
    clock[0] += timedelta(hours=5)
    report = await sweep.run()
    assert (report.stopped, report.held_by_brake, report.kept) == (5, 20, {"held back by the brake": 20})
    loud = [each.levelno for each in caplog.records if each.levelno >= logging.WARNING]
    assert loud == [logging.ERROR]
    assert "20 of 25 servers" in caplog.text
    assert "was idle for 5 h 1 min, but" in next(d.verdict.reason for d, _ in told if d.verdict.cause == "held back by the brake")  # fmt: skip
    report = await sweep.run()
    assert (report.stopped, report.held_by_brake) == (20, 0)


async def test_page_and_explain_know_what_is_held_back_until_the_next_sweep():
    hub = InMemoryHub(
        *(user(f"user{index}", server(f"user{index}", idle=timedelta(minutes=1))) for index in range(20))
    )
    clock = [NOW]
    store = StateStore(None, ExtensionLimits(longest=timedelta(), per_week=0), lambda: clock[0])
    bus = EventBus()
    _remember_stops(store, SweepOptions(), bus)
    sweep = Sweep(
        hub,
        SweepOptions(),
        Decider(limits=LIMITS),
        lambda: clock[0],
        interval=timedelta(minutes=5),
        on_decision=bus.decision,
    )

    async def swept():
        report = await sweep.run()
        bus.end_of_sweep(SweepRecord(kind="sweep", begun=clock[0], seconds=1.0, report=report, error=None))

    await swept()
    assert store.braked_until("user1", "") is None
    clock[0] += timedelta(hours=5)
    await swept()
    assert store.braked_until("user1", "") == clock[0] + timedelta(minutes=5)
    clock[0] += timedelta(minutes=5)
    assert store.braked_until("user1", "") is None
    clock[0] -= timedelta(minutes=1)
    await swept()
    assert store.braked_until("user1", "") is None, "it was stopped"


async def test_a_sweep_that_stops_what_was_idle_before_is_not_braked():
    hub = InMemoryHub(*(user(f"user{index}", server(f"user{index}")) for index in range(20)))
    sweep = Sweep(hub, SweepOptions(), Decider(limits=LIMITS), lambda: NOW)
    assert (await sweep.dry_run()).would_stop == 20
    assert (await sweep.run()).stopped == 20
