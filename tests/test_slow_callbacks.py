import asyncio
import logging
import threading
from time import perf_counter

import pytest

from k8s_hub import slow_callbacks
from k8s_hub.slow_callbacks import SLOW_CALLBACKS, VARIABLE, SlowCallbacks, watch_if_asked

LIMIT = 0.02  # seconds
SOURCE = """
def hold_the_loop(seconds, now):
    until = now() + seconds
    while now() < until:
        pass
"""


def code_of(file):
    """A function that keeps the loop, as if it stood in this file."""
    names = {}
    exec(compile(SOURCE, file, "exec"), names)
    return names["hold_the_loop"]


ours = code_of(f"{slow_callbacks._PACKAGE}kube/made_up.py")
theirs = code_of("/usr/lib/jupyterhub/made_up.py")


@pytest.fixture
def told(caplog):
    """What was logged while a watch ran; it ends with the test."""
    watch, before = SlowCallbacks(LIMIT), asyncio.Handle._run
    watch.start()
    yield lambda: [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    watch.stop()
    assert asyncio.Handle._run is before


def counted():
    return SLOW_CALLBACKS._value.get()


async def turn(function, seconds):
    """Run a function as a callback of the loop, alone."""
    done = asyncio.get_running_loop().create_future()

    def callback():
        function(seconds, perf_counter)
        done.set_result(None)

    asyncio.get_running_loop().call_soon(callback)
    await done


async def test_a_slow_callback_of_ours_is_told_with_its_place_and_counted(told):
    before = counted()
    await turn(ours, 3 * LIMIT)
    (message,) = told()
    assert "kube/made_up.py:" in message
    assert "hold_the_loop" in message
    assert counted() == before + 1


async def test_what_others_do_is_not_ours(told):
    before = counted()
    await turn(theirs, 3 * LIMIT)
    assert told() == []
    assert counted() == before


async def test_a_short_callback_is_nobodys_concern(told):
    for _ in range(5):
        await turn(ours, LIMIT / 4)
    assert told() == []


async def test_loops_of_other_threads_are_left_alone(told):
    thread = threading.Thread(target=lambda: asyncio.run(turn(ours, 3 * LIMIT)))
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
        await turn(ours, 3 * LIMIT)
    finally:
        watch.stop()
    assert "made_up.py" in caplog.text
