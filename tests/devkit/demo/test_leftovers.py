import asyncio
import os
import subprocess
import sys

import pytest

from devkit.demo import leftovers
from devkit.demo.leftovers import Mark

MARK = Mark(marker=f"test-{os.getpid()}", hub_api="http://127.0.0.1:1/hub/api")
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


@pytest.mark.parametrize(
    "variable", [(leftovers.MARKER, MARK.marker), ("JUPYTERHUB_API_URL", MARK.hub_api)], ids=lambda v: v[0]
)
def test_a_process_is_known_by_the_marker_or_by_our_hubs_address(start, variable):
    process = start(DEAF, *variable)
    assert process.pid in leftovers.find(MARK)


def test_another_demos_process_is_not_ours(start):
    process = start(DEAF, leftovers.MARKER, MARK.marker + "0")
    assert process.pid not in leftovers.find(MARK)


async def test_what_ends_by_itself_in_time_is_not_called_left_behind(start):
    start("import time; time.sleep(0.2)", leftovers.MARKER, MARK.marker)
    assert await leftovers.end(MARK, grace=10) == {}


async def test_what_does_not_end_is_ended_and_named(start):
    process = start(DEAF, leftovers.MARKER, MARK.marker)
    ended = await leftovers.end(MARK, grace=0.1)
    assert list(ended) == [process.pid]
    assert "signal.SIG_IGN" in ended[process.pid]
    assert await asyncio.to_thread(process.wait) == -9
