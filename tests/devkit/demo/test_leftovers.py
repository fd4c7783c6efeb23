import asyncio
import os
import subprocess
import sys

import pytest

from devkit.demo import leftovers

MARKER = f"test-{os.getpid()}"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


@pytest.fixture
def start():
    """A function that starts a piece of Python with one variable more in its environment."""
    started = []

    def start_python(code, name, value):
        # A process that the kernel is still setting up has no environment in /proc: it says when it runs.
        process = subprocess.Popen(
            [sys.executable, "-c", f"print(flush=True); {code}"],
            env={**os.environ, name: value},
            stdout=subprocess.PIPE,
        )
        started.append(process)
        process.stdout.readline()
        return process

    yield start_python
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_process_is_known_by_the_marker(start):
    process = start(DEAF, leftovers.MARKER, MARKER)
    assert process.pid in leftovers.find(MARKER)


def test_another_demos_process_is_not_ours(start):
    process = start(DEAF, leftovers.MARKER, MARKER + "0")
    assert process.pid not in leftovers.find(MARKER)


async def test_a_process_that_got_the_number_of_one_of_ours_is_left_alone(start, monkeypatch):
    other = start(DEAF, leftovers.MARKER, MARKER + "0")
    monkeypatch.setattr(leftovers, "find", lambda _marker: {other.pid: "the one that had the number before"})
    monkeypatch.setattr(leftovers, "KILL_DEADLINE", 0.1)
    assert await leftovers.end(MARKER, grace=0.1) == {}
    assert other.poll() is None


async def test_what_ends_by_itself_in_time_is_not_called_left_behind(start):
    start("import time; time.sleep(0.2)", leftovers.MARKER, MARKER)
    assert await leftovers.end(MARKER, grace=10) == {}


async def test_what_does_not_end_is_ended_and_named(start):
    process = start(DEAF, leftovers.MARKER, MARKER)
    ended = await leftovers.end(MARKER, grace=0.1)
    assert list(ended) == [process.pid]
    assert "signal.SIG_IGN" in ended[process.pid]
    assert await asyncio.to_thread(process.wait) == -9
