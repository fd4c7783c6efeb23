import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from devkit.demo.failure import DemoError
from devkit.demo.process import Command, Process

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


@pytest.fixture
def command(tmp_path):
    """A function that makes a command out of a piece of Python."""

    def make(code, name="part"):
        return Command(
            name=name,
            arguments=(sys.executable, "-c", code),
            environment=dict(os.environ),
            directory=tmp_path,
            log=tmp_path / f"{name}.log",
        )

    return make


async def never():
    return False


def says(process, text):
    """A probe: is ``text`` in the process's log?"""

    async def is_said():
        return text in process.command.log.read_text()

    return is_said


async def test_it_logs_to_its_file_and_stops_when_asked(command):
    process = await Process.start(command("print('up', flush=True); import time; time.sleep(60)"))
    await process.wait_until_ready(says(process, "up"), deadline=10)
    assert process.is_running
    await process.stop(grace=10)
    assert await process.wait() == -signal.SIGTERM


async def test_a_stubborn_process_is_ended_with_its_group_after_the_grace_period(command):
    child = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True);"
    process = await Process.start(command(child + STUBBORN))
    await process.wait_until_ready(says(process, "deaf"), deadline=10)
    child_pid = int(process.command.log.read_text().split()[0])
    await process.stop(grace=0.1)
    assert await process.wait() == -signal.SIGKILL
    await gone(child_pid)


async def test_a_process_that_got_the_pid_of_an_ended_one_is_left_alone(command, monkeypatch):
    ended = await Process.start(command("pass"))
    await ended.wait()
    other = await Process.start(command("import time; time.sleep(60)", name="other"))
    other_pid = other.pid
    with monkeypatch.context() as patched:
        patched.setattr(Process, "pid", other_pid)
        await ended.kill()
    assert is_alive(other_pid)
    await other.kill()


async def test_the_end_before_it_is_ready_is_told_with_its_last_words(command):
    process = await Process.start(command("print('one'); print('the port is taken')", name="proxy"))
    with pytest.raises(
        DemoError, match=r"the proxy ended while starting: the port is taken \(.*proxy\.log\)"
    ):
        await process.wait_until_ready(never, deadline=10)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("x =", "SyntaxError: invalid syntax in {}/own.py, line 2"),
        ("import json; json.loads(1)", "TypeError: .* in {}/own.py, line 2"),
        (
            "import no.such",
            r"ModuleNotFoundError: .* in {}/own.py, line 2 \(.*hub.log\)\. .*pip install PACKAGE$",
        ),
    ],
)
async def test_the_place_of_a_mistake_in_a_file_beside_it_is_told(command, tmp_path, wrong, told):
    (tmp_path / "own.py").write_text(f"\n{wrong}\n")
    process = await Process.start(command("import own", name="hub"))
    with pytest.raises(DemoError, match="starting: " + told.format(tmp_path)):
        await process.wait_until_ready(never, deadline=10)


HEAD = "[C 2026-11-30 13:33:34.837 JupyterHub app:3771] Failed to start service announcer"
TRACE = "Traceback (most recent call last):\n  File x, line 1\nFileNotFoundError: 'no-such-program'"
ENDED = "[C 2026-11-30 13:33:35.837 JupyterHub app:3771] Cannot connect to service announcer"


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (
            f"{HEAD}\n{TRACE}\n    \n",
            "Failed to start service announcer: FileNotFoundError: 'no-such-program' (",
        ),
        (f"out of step\n{TRACE}", "FileNotFoundError: 'no-such-program' ("),
        (f"{HEAD}\n{TRACE}\n{ENDED}\n", "Cannot connect to service announcer ("),
        (HEAD, "Failed to start service announcer ("),
    ],
)
async def test_what_failed_is_told_before_the_last_line_of_a_traceback(command, printed, told):
    """A service whose program is missing ends the hub, and the exception does not name the service."""
    process = await Process.start(command(f"print({printed!r})", name="hub"))
    await process.wait()
    assert process.last_words().startswith(told)


async def test_a_process_that_is_never_ready_is_told_after_the_deadline(command):
    process = await Process.start(command("import time; time.sleep(60)", name="hub"))
    with pytest.raises(DemoError, match="the hub is not ready after 0 s: no output"):
        await process.wait_until_ready(never, deadline=0.2)
    await process.kill()


async def test_it_dies_with_a_demo_that_is_killed(tmp_path):
    """PR_SET_PDEATHSIG: SIGKILL leaves the demo no moment to clean up."""
    demo = f"""
import asyncio, os, pathlib, sys
from devkit.demo.process import Command, Process
async def main():
    command = Command(name="part", arguments=("sleep", "60"), environment=dict(os.environ),
                      directory=pathlib.Path({str(tmp_path)!r}), log=pathlib.Path({str(tmp_path / "log")!r}))
    print((await Process.start(command)).pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", demo, stdout=asyncio.subprocess.PIPE)
    pid = int(await parent.stdout.readline())
    os.kill(pid, 0)
    parent.kill()
    await parent.communicate()
    await gone(pid)


async def gone(pid):
    """Return when the process has ended; zombies have."""
    async with asyncio.timeout(10):
        while is_alive(pid):  # noqa: ASYNC110 - /proc tells nobody what changes
            await asyncio.sleep(0.01)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
