import asyncio
import logging
import threading
from contextlib import contextmanager
from time import perf_counter

import pytest

from devkit.slow_callbacks import SLOW_CALLBACKS, VARIABLE, SlowCallbacks, watch_if_asked
from k8s_hub.kube.core.store import Store
from k8s_hub.kube.core.watch import Updated

LIMIT = 0.02  # seconds
POD = {"metadata": {"namespace": "hub", "name": "ada", "uid": "1", "resourceVersion": "1"}}


def hold_the_loop(seconds):
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass


def let_the_view_hold_it(seconds, *, until=lambda: True):
    """The store is ours, and on the stack while what it was given keeps the loop."""

    def project(pod):
        hold_the_loop(seconds)
        while not until():
            hold_the_loop(LIMIT)
        return pod

    Store(project).apply(Updated(POD))


@contextmanager
def watched(limit=LIMIT):
    watch, before = SlowCallbacks(limit), asyncio.Handle._run
    watch.start()
    yield watch
    watch.stop()
    assert asyncio.Handle._run is before


@pytest.fixture
def told(caplog):
    """What was logged so far."""
    return lambda: [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def has_seen_something(watch):
    """Tell whether the other thread has looked at the callback that runs."""
    return lambda: bool(watch._turn[1])


def counted():
    return SLOW_CALLBACKS._value.get()


async def turn(function, seconds, **more):
    """Run a function as a callback of the loop, alone."""
    done = asyncio.get_running_loop().create_future()

    def callback():
        function(seconds, **more)
        done.set_result(None)

    asyncio.get_running_loop().call_soon(callback)
    await done


async def test_a_slow_callback_of_ours_is_told_with_its_place_and_counted(told):
    before = counted()
    with watched() as watch:
        await turn(let_the_view_hold_it, LIMIT, until=has_seen_something(watch))
    (message,) = told()
    assert "kube/core/store.py:" in message
    assert "Store._entry_of" in message
    assert counted() == before + 1


async def test_what_others_do_is_not_ours(told):
    before = counted()
    with watched():
        await turn(hold_the_loop, 3 * LIMIT)
    assert told() == []
    assert counted() == before


async def test_a_short_callback_is_nobodys_concern(told):
    with watched(limit=3) as watch:
        await turn(let_the_view_hold_it, 0, until=has_seen_something(watch))
    assert told() == []


async def test_loops_of_other_threads_are_left_alone(told):
    thread = threading.Thread(target=lambda: asyncio.run(turn(let_the_view_hold_it, 3 * LIMIT)))
    with watched():
        thread.start()
        await asyncio.to_thread(thread.join)
    assert told() == []


@pytest.fixture
def asked(monkeypatch):
    """A function that asks by the environment, for the first time in this process."""

    def ask(value):
        monkeypatch.setenv(VARIABLE, value)
        watch_if_asked.cache_clear()
        return watch_if_asked()

    yield ask
    watch_if_asked.cache_clear()


def test_production_is_not_watched(asked):
    assert asked("") is None


@pytest.mark.parametrize("value", ["soon", "0", "-5", "nan"])
def test_a_wrong_limit_is_named_and_nothing_is_watched(asked, caplog, value):
    assert asked(value) is None
    assert f"{VARIABLE}={value}" in caplog.text


async def test_the_environment_asks_for_a_watch_once(asked, caplog):
    watch = asked(str(1000 * LIMIT))
    try:
        assert watch_if_asked() is watch
        await turn(let_the_view_hold_it, LIMIT, until=has_seen_something(watch))
    finally:
        watch.stop()
    assert "kube/core/store.py" in caplog.text
