"""Containers as processes, each on its own loopback address. None survives the cluster.

They are isolated only like any processes of one user.
"""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from devkit.minicluster import reaper
from devkit.minicluster.launcher import Command, Machine, compose
from devkit.minicluster.runtime import Exit, Order, StartError

# A PID namespace is the strongest guarantee: the kernel ends everything in it with its first process.
_ISOLATE = ("unshare", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc")
_ISOLATE_AS_USER = ("unshare", "--user", "--map-current-user", *_ISOLATE[1:])

# After the lifeline is cut; only a process in uninterruptible sleep takes longer.
_END_SECONDS = 10.0


class ProcessContainer:
    """A process and all of its descendants."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        # A descriptor that becomes readable when the process ends: no thread, no signal handler.
        self._watched = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._watched, self._ended)

    async def wait(self) -> Exit:
        """Return when the process and its descendants have ended."""
        return await asyncio.shield(self._exit)

    async def stop(self, grace_seconds: float) -> None:
        """Send SIGTERM; after the grace period, kill it with all descendants."""
        if grace_seconds > 0 and not self._exit.done():
            self._ask()
            await asyncio.wait({self._exit}, timeout=grace_seconds)
        if not self._exit.done():
            self._cut_lifeline()
            await asyncio.wait({self._exit}, timeout=_END_SECONDS)
        if not self._exit.done():
            self._process.kill()
            await asyncio.shield(self._exit)

    def _ask(self) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                os.write(self._process.stdin.fileno(), b"T")

    def _cut_lifeline(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watched)
        os.close(self._watched)
        self._cut_lifeline()
        code = self._process.wait()
        if not self._exit.done():
            self._exit.set_result(Exit.of(code if code >= 0 else 128 - code))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRuntime:
    """Starts processes."""

    machine: Machine
    #: The command's prefix for isolation; empty if PID namespaces are not available.
    isolation: tuple[str, ...]

    @classmethod
    def detect(cls) -> Self:
        """Return the runtime with the best isolation on this machine."""
        machine = Machine(
            programs=Path(sys.executable).parent,
            path=os.environ.get("PATH", os.defpath),
            language=os.environ.get("LANG", "C.UTF-8"),
            is_root=os.geteuid() == 0,
        )
        works = (each for each in (_ISOLATE, _ISOLATE_AS_USER) if _is_possible(each))
        return cls(machine=machine, isolation=next(works, ()))

    async def start(self, order: Order) -> ProcessContainer:
        """Start the process in its home."""
        try:
            order.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            order.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return ProcessContainer(self._spawn(compose(order, self.machine), order.log))
        except OSError as error:
            raise StartError("RunContainerError", str(error)) from error

    def _spawn(self, command: Command, log: Path) -> subprocess.Popen[bytes]:
        python = (sys.executable, "-I", "-S", reaper.__file__)
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - to run what a pod says is its purpose
                [*self.isolation, *python, *command.arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(command.environment),
                cwd=command.directory,
                # Ctrl-C in the cluster's terminal is for the cluster, not for its pods.
                start_new_session=True,
            )


def _is_possible(isolation: tuple[str, ...]) -> bool:
    try:
        tried = subprocess.run([*isolation, "true"], check=False, capture_output=True, timeout=_END_SECONDS)  # noqa: S603 - constants
    except OSError:
        return False
    return tried.returncode == 0
