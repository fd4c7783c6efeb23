"""Finds and ends leftover processes of a demo, by the demo's marker in their environment in /proc.

Only processes that a part of the demo started inherit the marker: services of the hub, users' servers, and what they
start. The lines that the demo prints to paste into a terminal do not have it.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

MARKER = "K8S_HUB_DEMO"  # the environment variable; each run has a value of its own
LOOK_EVERY = 0.1  # seconds
KILL_DEADLINE = 5.0  # seconds; the kernel takes milliseconds, on a busy machine longer


def find(marker: str) -> dict[int, str]:
    """Return pid and command line of the processes with ``marker``, without zombies."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # the process ended, or belongs to another user
            if _is_marked(folder, marker):
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
    return found


async def wait_until(marker: str, is_so: Callable[[Mapping[int, str]], bool]) -> None:
    """Return once ``is_so`` is true for the found processes. The caller sets the deadline."""
    while not is_so(find(marker)):  # noqa: ASYNC110 - /proc has no events
        await asyncio.sleep(LOOK_EVERY)


async def end(marker: str, *, grace: float) -> dict[int, str]:
    """Wait ``grace`` seconds for leftovers to end, then kill them; return the killed ones."""
    with suppress(TimeoutError):
        async with asyncio.timeout(grace):
            await wait_until(marker, lambda found: not found)
    killed = {pid: command for pid, command in find(marker).items() if _kill(pid, marker)}
    # What is killed is still there for a moment.
    with suppress(TimeoutError):
        async with asyncio.timeout(KILL_DEADLINE):
            await wait_until(marker, lambda found: found.keys().isdisjoint(killed))
    return killed


def _kill(pid: int, marker: str) -> bool:
    """Kill the process; return False if it has ended. A new process that got its number is left alone."""
    with suppress(OSError):  # it has ended
        process = os.pidfd_open(pid)
        try:
            if _is_marked(Path(f"/proc/{pid}"), marker):
                signal.pidfd_send_signal(process, signal.SIGKILL)
                return True
        finally:
            os.close(process)
    return False


def _is_marked(folder: Path, marker: str) -> bool:
    return f"{MARKER}={marker}".encode() in (folder / "environ").read_bytes().split(b"\0")
