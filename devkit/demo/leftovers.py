"""Finds and ends leftover processes of a demo, by their environment in /proc."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARKER = "K8S_HUB_DEMO"  # in the environment of every process of a demo, users' servers included
LOOK_EVERY = 0.1  # seconds
KILL_DEADLINE = 5.0  # seconds; the kernel takes milliseconds, on a busy machine longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Identifies a process of this demo: by the marker, or by the hub's address.

    The culler's environment has only the hub's address.
    """

    marker: str
    hub_api: str

    def is_in(self, environment: bytes) -> bool:
        """Return whether this environment, from /proc/PID/environ, belongs to this demo."""
        wanted = (f"{MARKER}={self.marker}".encode(), f"JUPYTERHUB_API_URL={self.hub_api}".encode())
        return any(variable in wanted for variable in environment.split(b"\0"))


def find(mark: Mark) -> dict[int, str]:
    """Return pid and command line of the processes with ``mark``, without zombies."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # the process ended, or belongs to another user
            if mark.is_in((folder / "environ").read_bytes()):
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
    return found


async def wait_until(mark: Mark, is_so: Callable[[Mapping[int, str]], bool]) -> None:
    """Return once ``is_so`` is true for the found processes. The caller sets the deadline."""
    while not is_so(find(mark)):  # noqa: ASYNC110 - /proc tells nobody what changes
        await asyncio.sleep(LOOK_EVERY)


async def end(mark: Mark, *, grace: float) -> dict[int, str]:
    """Wait ``grace`` seconds for leftovers to end, then kill them; return the killed ones."""
    with suppress(TimeoutError):
        async with asyncio.timeout(grace):
            await wait_until(mark, lambda found: not found)
    stubborn = find(mark)
    for pid in stubborn:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # What is killed is still there for a moment.
    with suppress(TimeoutError):
        async with asyncio.timeout(KILL_DEADLINE):
            await wait_until(mark, lambda found: found.keys().isdisjoint(stubborn))
    return stubborn
