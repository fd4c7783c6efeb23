"""Processes of one demo that are still there, found by their environment in /proc."""

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
    """How a process of this demo is known: our marker, or the address of our hub.

    The hub gives the culler an environment of its own, which has only the latter.
    """

    marker: str
    hub_api: str

    def is_in(self, environment: bytes) -> bool:
        """Tell whether this is the environment of one of ours; it is as in /proc/PID/environ."""
        wanted = (f"{MARKER}={self.marker}".encode(), f"JUPYTERHUB_API_URL={self.hub_api}".encode())
        return any(variable in wanted for variable in environment.split(b"\0"))


def find(mark: Mark) -> dict[int, str]:
    """Return pid and command line of the living processes with ``mark``; zombies are not alive."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended, or is somebody else's
            if mark.is_in((folder / "environ").read_bytes()):
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
    return found


async def wait_until(mark: Mark, is_so: Callable[[Mapping[int, str]], bool]) -> None:
    """Return when ``is_so`` of what is found; the caller sets the deadline."""
    while not is_so(find(mark)):  # noqa: ASYNC110 - /proc tells nobody what changes
        await asyncio.sleep(LOOK_EVERY)


async def end(mark: Mark, *, grace: float) -> dict[int, str]:
    """Give what is left ``grace`` seconds to end by itself, then end it; return what had to be ended, and is gone."""
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
