"""Health: three intervals without a sweep that ended well are a failure, from the start on."""

from datetime import timedelta

import pytest

from devkit.testing.inmemoryhub import NOW
from k8s_hub.culler.core.report import Pulse, Report, SweepRecord

EVERY = timedelta(minutes=5)


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now

    def goes(self, **by):
        self.now += timedelta(**by)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pulse(clock):
    return Pulse(EVERY, clock)


def ended(*, error=None, seconds=1.0, kind="sweep"):
    return SweepRecord(kind=kind, begun=NOW, seconds=seconds, report=None if error else Report(), error=error)


def test_from_the_start_it_has_three_intervals(pulse, clock):
    clock.goes(minutes=15)
    assert pulse.health().healthy
    clock.goes(seconds=1)
    health = pulse.health()
    assert not health.healthy
    assert health.reason == "no sweep has succeeded for 15 min 1 s"
    assert health.last_success is None


@pytest.mark.parametrize("kind", ["look", "sweep"])
def test_a_sweep_that_ends_well_gives_three_more(pulse, clock, kind):
    clock.goes(minutes=14)
    pulse.on_sweep(ended(kind=kind))
    clock.goes(minutes=15)
    health = pulse.health()
    assert health.healthy
    assert health.reason == "the last successful sweep ended 15 min ago"
    assert health.last_success == NOW + timedelta(minutes=14)
    clock.goes(seconds=1)
    assert not pulse.health().healthy


def test_a_sweep_that_fails_gives_none_and_says_why(pulse, clock):
    clock.goes(minutes=14)
    pulse.on_sweep(ended(error="the token is not valid"))
    assert pulse.health().healthy
    assert pulse.health().last_error == "the token is not valid"
    clock.goes(minutes=2)
    health = pulse.health()
    assert not health.healthy
    assert health.reason.endswith("for 16 min; the last one failed: the token is not valid")


def test_an_error_that_is_over_is_not_told(pulse):
    pulse.on_sweep(ended(error="away"))
    pulse.on_sweep(ended())
    assert pulse.health().last_error is None


def test_sweeps_longer_than_the_interval_are_no_failure(pulse, clock):
    """They delay each other: an interval is then as long as a sweep."""
    clock.goes(minutes=10)
    pulse.on_sweep(ended(seconds=600))
    clock.goes(minutes=30)
    assert pulse.health().healthy
    clock.goes(seconds=1)
    assert not pulse.health().healthy


def test_as_json(pulse, clock):
    clock.goes(seconds=90)
    pulse.on_sweep(ended())
    assert pulse.health().as_json() == {
        "healthy": True,
        "reason": "the last successful sweep ended 0 s ago",
        "last_success": "2026-07-01T12:01:30Z",
        "last_error": None,
    }
