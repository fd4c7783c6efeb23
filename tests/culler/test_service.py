"""Sweep after sweep, in virtual time."""

import asyncio
import contextlib
from datetime import timedelta

import pytest

from devkit.testing.inmemoryhub import NOW
from k8s_hub.culler.core.report import Report
from k8s_hub.culler.service import CullerService, run_while
from k8s_hub.hub.errors import HubUnavailable

pytestmark = pytest.mark.looptime


class Sweeps:
    """Sweeps that take some time, and fail on order."""

    def __init__(self, *seconds: float, errors: dict[int, Exception] | None = None) -> None:
        self.seconds = seconds
        self.errors = errors or {}
        self.begun: list[float] = []
        self.under_way = 0

    async def __call__(self) -> Report:
        number = len(self.begun)
        self.begun.append(asyncio.get_running_loop().time())
        self.under_way += 1
        assert self.under_way == 1, "two sweeps at once"
        await asyncio.sleep(self.seconds[number] if number < len(self.seconds) else 0)
        self.under_way -= 1
        if number in self.errors:
            raise self.errors[number]
        return Report(servers=number)


@contextlib.asynccontextmanager
async def running(sweep, *, every=10):
    records = []
    service = CullerService(
        sweep, sweep, interval=timedelta(seconds=every), now=lambda: NOW, on_sweep=records.append
    )
    task = asyncio.create_task(service.run())
    try:
        yield records
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_listener_that_fails_ends_nothing(caplog):
    def fail(_record):
        raise RuntimeError("a mistake")

    async def sweep():
        return Report()

    service = CullerService(sweep, sweep, interval=timedelta(hours=1), now=lambda: NOW, on_sweep=fail)
    assert await service.once() == Report()
    assert "RuntimeError: a mistake" in caplog.text


async def test_it_looks_at_once_and_sweeps_only_after_an_interval():
    """A hub that has just come back has not heard yet who was active while it was away."""
    done = []

    async def look():
        done.append(("look", asyncio.get_running_loop().time()))
        return Report()

    async def sweep():
        done.append(("sweep", asyncio.get_running_loop().time()))
        return Report()

    service = CullerService(look, sweep, interval=timedelta(seconds=10), now=lambda: NOW)
    await run_while(service, asyncio.sleep(25))
    assert done == [("look", pytest.approx(0)), ("sweep", pytest.approx(10)), ("sweep", pytest.approx(20))]


async def test_a_sweep_that_failed_is_followed_by_a_look():
    """The hub was away, and has not heard yet who was active meanwhile; or it was not there yet at the first look."""
    answers = {
        "look": iter([HubUnavailable("connection refused"), Report(), Report()]),
        "sweep": iter([Report(), HubUnavailable("connection refused"), Report(), Report()]),
    }
    done = []

    def passing(name):
        async def act():
            done.append(name)
            answer = next(answers[name])
            if isinstance(answer, Exception):
                raise answer
            return answer

        return act

    service = CullerService(
        passing("look"), passing("sweep"), interval=timedelta(seconds=10), now=lambda: NOW
    )
    await run_while(service, asyncio.sleep(65))
    assert done == ["look", "look", "sweep", "sweep", "look", "sweep", "sweep"]


async def test_the_sweeps_keep_the_rhythm():
    sweeps = Sweeps(3, 1, 2)
    async with running(sweeps):
        await asyncio.sleep(35)
    assert sweeps.begun == pytest.approx([0, 10, 20, 30], abs=0.01)


async def test_a_long_sweep_delays_the_next_and_never_overlaps_it():
    sweeps = Sweeps(25)
    async with running(sweeps):
        await asyncio.sleep(36)
    assert sweeps.begun == pytest.approx([0, 25, 35], abs=0.01)


async def test_it_survives_a_hub_that_is_away(caplog):
    sweeps = Sweeps(errors={0: HubUnavailable("GET /users failed: connection refused")})
    async with running(sweeps) as records:
        await asyncio.sleep(15)
    assert "failed: GET /users failed: connection refused" in caplog.text
    assert "Traceback" not in caplog.text
    assert records[-1].report == Report(servers=1)


async def test_it_survives_a_mistake_and_shows_it(caplog):
    sweeps = Sweeps(errors={0: ZeroDivisionError("mistake")})
    async with running(sweeps):
        await asyncio.sleep(15)
    assert len(sweeps.begun) == 2
    assert "ZeroDivisionError: mistake" in caplog.text


async def test_it_ends_when_its_hub_is_gone(looptime, caplog):
    """Also in the middle of a sweep."""
    sweeps = Sweeps(1000)
    service = CullerService(sweeps, sweeps, interval=timedelta(seconds=10), now=lambda: NOW)
    await run_while(service, asyncio.sleep(5))
    assert looptime == pytest.approx(5, abs=0.01)


async def test_every_sweep_is_on_record():
    """The listener gets each when it is over."""
    sweeps = Sweeps(2, 1, errors={1: HubUnavailable("away"), 2: KeyError("alice")})
    told = []
    service = CullerService(
        sweeps, sweeps, interval=timedelta(seconds=10), now=lambda: NOW, on_sweep=told.append
    )
    await run_while(service, asyncio.sleep(45))
    kinds = [(each.kind, each.error) for each in told]
    assert kinds == [
        ("look", None),
        ("sweep", "away"),
        ("look", "KeyError: an error in the culler or in a hook; see the log"),
        ("look", None),
        ("sweep", None),
    ]
    assert [each.seconds for each in told[:2]] == pytest.approx([2, 1], abs=0.01)
    assert (told[0].begun, told[0].report, told[1].report) == (NOW, Report(servers=0), None)


async def test_one_sweep_on_its_own():
    """It may stop servers: whoever starts it by hand has looked already."""
    done = []

    async def look():
        raise AssertionError

    async def sweep():
        done.append("sweep")
        return Report(servers=7)

    service = CullerService(look, sweep, interval=timedelta(seconds=10), now=lambda: NOW)
    assert await service.once() == Report(servers=7)
    assert done == ["sweep"]
    failing = Sweeps(errors={0: HubUnavailable("away")})
    service = CullerService(failing, failing, interval=timedelta(seconds=10), now=lambda: NOW)
    assert await service.once() is None


@pytest.mark.parametrize("error", [None, ZeroDivisionError("mistake")])
async def test_a_heartbeat_goes_on_beside_the_sweeps_and_ends_with_them(error, caplog):
    beats = []

    async def heartbeat():
        while True:
            beats.append(asyncio.get_running_loop().time())
            await asyncio.sleep(3)
            if error is not None:
                raise error

    sweeps = Sweeps(8)
    service = CullerService(
        sweeps, sweeps, interval=timedelta(seconds=10), now=lambda: NOW, heartbeat=heartbeat
    )
    await run_while(service, asyncio.sleep(14))
    await asyncio.sleep(60)
    assert len(beats) == (5 if error is None else 1)
    assert len(sweeps.begun) == 2
    assert ("no longer notices" in caplog.text) is (error is not None)


async def test_a_report_is_one_line():
    report = Report(
        users=8, servers=9, stopped=2, stopping=1, gone=1, kept={"in use": 3, "pending": 1}, failed=1, lost=1,
        hidden=2, deleted=1, delete_failed=1, seconds=1.25,
    )  # fmt: skip
    assert str(report) == (
        "9 servers of 8 users, 2 stopped, 1 stopping, 1 gone meanwhile, 4 kept (3 in use, 1 pending), "
        "2 users with hidden servers, 1 user deleted, 2 failed, 1 part of the list not read, 1.2 s"
    )
    assert str(Report()) == "0 servers of 0 users, 0 stopped, 0 kept, 0 failed, 0.0 s"
