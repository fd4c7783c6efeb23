"""Outages: while the hub was away nobody could tell it that they are active."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from devkit.testing.inmemoryhub import NOW, InMemoryHub, server, user
from k8s_hub.culler.core.extensions import ExtensionLimits
from k8s_hub.culler.core.policy import facts_of
from k8s_hub.culler.core.rules import Limits
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.outages import HEARTBEAT_SECONDS, Contact, Outages, heartbeat
from k8s_hub.culler.service import CullerService
from k8s_hub.culler.state import StateStore
from k8s_hub.culler.sweep import Sweep, SweepOptions
from k8s_hub.hub.errors import HubUnavailable

MINUTE = timedelta(minutes=1)
INTERVAL = 5 * MINUTE
KEEPS = ExtensionLimits(longest=timedelta(hours=1), per_week=1)


@pytest.mark.parametrize(
    ("last", "interval", "grace_until"),
    [
        (None, INTERVAL, None),
        (NOW - INTERVAL, INTERVAL, None),
        (NOW - 6 * MINUTE, INTERVAL, NOW + INTERVAL),
        (NOW + MINUTE, INTERVAL, None),  # a clock that was set back
        (NOW - 6 * MINUTE, None, None),
    ],
)
def test_a_longer_silence_was_an_outage(last, interval, grace_until):
    assert Contact(last=last).answered(NOW, interval) == Contact(last=NOW, grace_until=grace_until)


def test_further_answers_do_not_shorten_the_quiet():
    contact = Contact(last=NOW - 6 * MINUTE).answered(NOW, INTERVAL).answered(NOW + MINUTE, INTERVAL)
    assert contact.grace_until == NOW + INTERVAL


def test_a_quiet_that_a_wrong_clock_began_is_not_kept_until_that_clock_s_time():
    ahead = NOW + timedelta(days=365)
    wrong = Contact(last=NOW).answered(ahead, INTERVAL)
    assert wrong.grace_until == ahead + INTERVAL
    assert wrong.answered(NOW + MINUTE, INTERVAL).grace_until == NOW + MINUTE + INTERVAL


def test_an_interval_below_two_heartbeats_makes_no_outage_of_them():
    outages = Outages(timedelta(seconds=1))
    for seconds in (0, HEARTBEAT_SECONDS, 2 * HEARTBEAT_SECONDS, 4 * HEARTBEAT_SECONDS):
        outages.answered(NOW + timedelta(seconds=seconds))
        assert outages.grace_until(NOW + timedelta(seconds=seconds)) is None
    late = NOW + timedelta(seconds=7 * HEARTBEAT_SECONDS)
    outages.answered(late)
    assert outages.grace_until(late) == late + timedelta(seconds=2 * HEARTBEAT_SECONDS)


class Culler:
    """A culler's service in virtual time, and its hub, which is away between two minutes."""

    def __init__(self, *users, away=(0, 0), every=10, store=None, **options):
        self.away = away
        self.hub = InMemoryHub(*users, trouble=self._trouble)
        self.outages = Outages(INTERVAL, store)
        self.sweep = Sweep(
            self.hub,
            SweepOptions(**options),
            Decider(limits=Limits(timeout=12 * MINUTE)),
            self.now,
            outages=self.outages,
        )
        self.records = []
        self.service = CullerService(
            self.sweep.dry_run,
            self.sweep.run,
            interval=every * MINUTE,
            now=self.now,
            heartbeat=partial(heartbeat, self.hub.version, self.outages, self.now),
            on_sweep=self.records.append,
        )

    def now(self):
        return NOW + timedelta(seconds=asyncio.get_running_loop().time())

    def _trouble(self, _call):
        begin, end = (NOW + minute * MINUTE for minute in self.away)
        return HubUnavailable("connection refused") if begin <= self.now() < end else None

    async def runs(self, minutes):
        task = asyncio.create_task(self.service.run())
        await asyncio.sleep(minutes * 60)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    @property
    def sweeps(self):
        return [
            (each.kind, each.report and (each.report.stopped, each.report.held_by_grace))
            for each in self.records
        ]


def in_use():
    """A user whose server is idle for 12 minutes before the second sweep, at 20 minutes, and not before the first."""
    return user("alice", server("alice", idle=-5 * MINUTE))


@pytest.mark.looptime
async def test_an_hour_without_outage():
    culler = Culler(in_use())
    await culler.runs(25)
    assert culler.sweeps == [("look", (0, 0)), ("sweep", (0, 0)), ("sweep", (1, 0))]


@pytest.mark.looptime
async def test_a_mistake_in_one_heartbeat_does_not_end_the_others(monkeypatch):
    """Without them, every sweep would find a silence of ten minutes, and stop nothing, for ever."""
    culler = Culler(in_use())
    beat, beats = culler.outages.answered, []

    def heard(now):
        beats.append(now)
        if len(beats) == 3:  # the first two are at the look
            raise RuntimeError("a mistake")
        beat(now)

    monkeypatch.setattr(culler.outages, "answered", heard)
    await culler.runs(25)
    assert culler.sweeps == [("look", (0, 0)), ("sweep", (0, 0)), ("sweep", (1, 0))]


@pytest.mark.looptime
async def test_a_short_outage_makes_no_quiet():
    culler = Culler(in_use(), away=(14, 18))
    await culler.runs(25)
    assert culler.sweeps[2] == ("sweep", (1, 0))


@pytest.mark.looptime
async def test_an_outage_between_two_sweeps_is_noticed_and_nothing_is_stopped_for_a_while(caplog):
    """No sweep failed; only the heartbeat knows. Back at 17, quiet until 22, stopped by the sweep at 30."""
    culler = Culler(in_use(), away=(11, 17.1))
    await culler.runs(35)
    assert culler.sweeps[1:] == [("sweep", (0, 0)), ("sweep", (0, 1)), ("sweep", (1, 0))]
    assert "hub: back after an outage since 2026-07-01T12:1" in caplog.text
    assert "the culler stops no server before 2026-07-01T12:22:30Z" in caplog.text


@pytest.mark.looptime
async def test_an_outage_in_the_middle_of_a_sweep_holds_back_what_is_left():
    """Three stops, at 10, 20 and 30 minutes: the second finds a hub that has just come back."""
    users = (user(f"u{number}", server(f"u{number}")) for number in range(3))
    culler = Culler(*users, away=(11, 17.1), spread=timedelta(minutes=30))
    await culler.runs(35)
    assert culler.sweeps == [("look", (0, 0)), ("sweep", (2, 1)), ("sweep", (1, 0))]


@pytest.mark.looptime
async def test_one_sweep_on_its_own_takes_its_pauses_for_no_outage():
    """Ten minutes lie between two of its stops; only the heartbeat asks the hub meanwhile."""
    users = (user(f"u{number}", server(f"u{number}")) for number in range(3))
    culler = Culler(*users, spread=timedelta(minutes=30))
    assert (await culler.service.once()).stopped == 3
    assert culler.now() == NOW + timedelta(minutes=20)


@pytest.mark.looptime
async def test_a_sweep_that_fails_is_followed_by_a_look_and_quiet():
    culler = Culler(in_use(), away=(9, 18))
    await culler.runs(45)
    assert [kind for kind, _ in culler.sweeps] == ["look", "sweep", "look", "sweep", "sweep"]
    assert culler.sweeps[1] == ("sweep", None)
    assert culler.sweeps[2] == ("look", (0, 1))
    assert culler.sweeps[3] == ("sweep", (1, 0))


@pytest.mark.looptime
@pytest.mark.parametrize(("minutes", "held_by_grace"), [(4, 0), (7, 1)])
async def test_a_culler_that_restarts_with_its_hub_remembers_when_it_was_heard(
    tmp_path, minutes, held_by_grace
):
    """In the chart it dies with the hub. What is to be stopped is held back at the first sweep already."""
    path, idle = tmp_path / "state.json", user("bob", server("bob"))
    clock = asyncio.get_running_loop().time

    def remembered():
        return StateStore(path, KEEPS, lambda: NOW + timedelta(seconds=clock()))

    first = remembered()
    culler = Culler(in_use(), store=first)
    await culler.runs(2)
    first.close()
    await asyncio.sleep(minutes * 60)
    culler = Culler(idle, every=3, store=remembered())
    await culler.runs(4)
    assert culler.sweeps == [("look", (0, held_by_grace)), ("sweep", (1 - held_by_grace, held_by_grace))]


def test_a_restart_does_not_end_the_grace_and_other_processes_see_it(tmp_path):
    now = [NOW]
    store = StateStore(tmp_path / "state.json", KEEPS, lambda: now[0])
    Outages(INTERVAL, store).answered(NOW)
    now[0] = NOW + 7 * MINUTE
    Outages(INTERVAL, store).answered(now[0])
    store.close()

    again = StateStore(tmp_path / "state.json", KEEPS, lambda: now[0], read_only=True)
    assert Outages(INTERVAL, again).grace_until(now[0]) == NOW + 12 * MINUTE
    assert Outages(INTERVAL, again).grace_until(NOW + 12 * MINUTE) is None
    assert Outages(INTERVAL, again).grace_until(NOW - timedelta(days=1)) == NOW - timedelta(days=1) + INTERVAL
    assert Outages(None, again).grace_until(now[0]) is None  # activity_interval is 0 now


@pytest.mark.parametrize(
    ("idle", "is_warned", "notice", "deadline"),
    [
        (10, False, None, 5),  # due during the grace
        (1, False, None, 11),  # due after it
        (10, False, 3, 8),  # nobody is warned during the grace
        (10, True, 3, 5),
    ],
)
async def test_what_is_due_during_the_grace_stops_at_its_end(idle, is_warned, notice, deadline):
    one = server("ada", idle=idle * MINUTE)
    outages = Outages(INTERVAL)
    for at in (NOW - 10 * MINUTE, NOW):
        outages.answered(at)
    decision = await Decider(limits=Limits(timeout=12 * MINUTE)).decide(facts_of(one, user("ada", one)), NOW)
    held = outages.held_back(
        replace(decision, is_warned=is_warned), NOW, None if notice is None else notice * MINUTE
    )
    assert held.verdict.deadline == NOW + deadline * MINUTE
    said = "The culler stops no server before"
    assert any(change.startswith(said) for change in held.changes()) == (deadline != 11)


@pytest.mark.looptime
async def test_users_are_not_deleted_either():
    clock = [NOW - 10 * MINUTE]
    outages = Outages(INTERVAL)
    outages.answered(clock[0])
    clock[0] = NOW
    hub = InMemoryHub(user("away"))
    sweep = Sweep(
        hub,
        SweepOptions(cull_users=True),
        Decider(limits=Limits(timeout=MINUTE)),
        lambda: clock[0],
        outages=outages,
    )
    assert (await sweep.run()).deleted == 0
    clock[0] = NOW + INTERVAL
    assert (await sweep.run()).deleted == 1


async def test_an_outage_while_users_are_deleted_keeps_the_others():
    clock = [NOW]

    def falls_silent(call):
        if call == "delete u0":
            clock[0] += 10 * MINUTE

    hub = InMemoryHub(user("u0"), user("u1"), trouble=falls_silent)
    sweep = Sweep(
        hub,
        SweepOptions(cull_users=True, concurrency=1),
        Decider(limits=Limits(timeout=MINUTE)),
        lambda: clock[0],
        outages=Outages(INTERVAL),
    )
    assert (await sweep.run()).deleted == 1
    assert list(hub.users) == ["u1"]
