"""One process of the demo: it logs to a file, is stopped as a group, and dies with the demo.

However the demo ends, even by SIGKILL, the kernel sends the process SIGTERM.
"""

import asyncio
import ctypes
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devkit.demo.failure import DemoError

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_TRACEBACK = "Traceback (most recent call last):"
_LOGGED = re.compile(r"\[[DIWEC] [^]]*\] (?P<message>.*)")  # as the hub logs
_PLACE = re.compile(r'File "(.*)", line (\d+)')
PROBE_EVERY = 0.1  # seconds
LIBC = ctypes.CDLL(None, use_errno=True)

Probe = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command; ``log`` receives its stdout and stderr."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    log: Path


class Process:
    """A started command with its own process group."""

    def __init__(self, command: Command, process: asyncio.subprocess.Process) -> None:
        self.command = command
        self._process = process

    @classmethod
    async def start(cls, command: Command) -> "Process":
        """Start ``command`` in a session of its own, so that Ctrl-C in the terminal reaches only the demo."""
        demo = os.getpid()
        with command.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command.arguments,
                env=command.environment,
                cwd=command.directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: _die_with(demo),
            )
        return cls(command, process)

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """True until it ended."""
        return self._process.returncode is None

    async def wait_until_ready(self, probe: Probe, *, deadline: float) -> None:
        """Return once ``probe`` succeeds; raise DemoError if the process ends first, or after ``deadline`` seconds."""
        name = self.command.name
        try:
            async with asyncio.timeout(deadline):
                while not await probe():
                    if not self.is_running:
                        raise DemoError(f"the {name} ended while starting: {self.last_words()}")
                    await asyncio.sleep(PROBE_EVERY)
        except TimeoutError as error:
            raise DemoError(f"the {name} is not ready after {deadline:.0f} s: {self.last_words()}") from error

    async def wait(self) -> int:
        """Wait for the end and return the exit code; negative is a signal."""
        return await self._process.wait()

    async def stop(self, *, grace: float) -> None:
        """Ask the process to end; after ``grace`` seconds, kill its group."""
        if self.is_running:
            self._process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        """Send SIGKILL to the group, even if its leader is already gone."""
        if not self._has_lost_its_pid():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()

    def _has_lost_its_pid(self) -> bool:
        """Return whether another process has the pid. While a member of the group lives, none can get it."""
        return not self.is_running and Path(f"/proc/{self.pid}").exists()

    def last_words(self) -> str:
        """Return the last line of the log, its place in a file beside the command, a hint, and where to read more.

        Before the last line of a traceback goes what failed.
        """
        text = self.command.log.read_text(errors="replace").strip()
        last = text.splitlines()[-1].strip() if text else "no output"
        if logged := _LOGGED.fullmatch(last):
            last = logged["message"]
        return f"{_what_failed(text)}{last}{self._place_in(text)} ({self.command.log}){_hint(last)}"

    def _place_in(self, text: str) -> str:
        _, _, traceback = text.rpartition(_TRACEBACK)
        places = [f"{path}, line {line}" for path, line in _PLACE.findall(traceback) if self._is_beside(path)]
        return f" in {places[-1]}" if places else ""

    def _is_beside(self, path: str) -> bool:
        return Path(path).parent == self.command.directory


def _what_failed(text: str) -> str:
    """Return the message above the traceback that ends the log; empty if the log ends with something else."""
    above, _, traceback = text.rpartition(_TRACEBACK)
    if not above or any(_LOGGED.match(line) for line in traceback.splitlines()):
        return ""
    match = _LOGGED.fullmatch(above.rstrip().rpartition("\n")[2].strip())
    return f"{match['message'].rstrip(':')}: " if match else ""


def _hint(last: str) -> str:
    if not last.startswith("ModuleNotFoundError:"):
        return ""
    return f". If a package has this module, install it: {program('pip')} install PACKAGE"


def program(name: str) -> str:
    """Return the path of a program of this environment, relative to the current folder if it is in there."""
    path, here = Path(sys.executable).with_name(name), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _die_with(demo: int) -> None:
    """Between fork and exec: let the kernel send SIGTERM when the demo ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != demo:  # the demo ended before the line above
        os._exit(1)
