"""One child process: its command, its readiness and its end.

It dies with this process, however this one dies, together with its process group.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from devkit.realcluster.living import living

PR_SET_PDEATHSIG = 1  # prctl(2)
POLL_SECONDS = 0.02
_libc = ctypes.CDLL(None, use_errno=True)  # loaded before any fork
# To the kernel a child's parent is the thread that forked it, so children are born in one that stays.
_birthplace = ThreadPoolExecutor(max_workers=1, thread_name_prefix="box-birthplace")


class ProcessFailedError(Exception):
    """A process did not become ready, or did not end. The message has the end of its log."""


@dataclass(kw_only=True)
class Process:
    """A program that can be started, paused, stopped and started again with the same command."""

    name: str
    command: Sequence[str | Path]
    log: Path
    is_ready: Callable[[], bool]
    start_seconds: float = 60
    stop_seconds: float = 15
    stop_signal: signal.Signals = signal.SIGTERM
    _child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def is_alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start it and wait until it is ready. If this raises, nothing runs."""
        if self._child:
            raise ProcessFailedError(f"{self.name} already runs")
        parent = os.getpid()
        with self.log.open("ab") as log:
            self._child = _birthplace.submit(
                subprocess.Popen,
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: _die_with(parent),  # takes no lock, so it is safe with threads
            ).result()
        try:
            self._wait_until_ready(self._child)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to end, wait, and kill it at the deadline, which raises. Does nothing if it is stopped.

        Also raises if it ended by itself.
        """
        child = self._child
        if child is None:
            return
        if child.poll() is not None:
            self.kill()
            raise ProcessFailedError(
                f"{self.name} had ended by itself, with code {child.returncode}\n{self.tail()}"
            )
        self._signal(signal.SIGCONT)
        self._signal(self.stop_signal)
        try:
            child.wait(self.stop_seconds)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailedError(
                f"{self.name} did not end within {self.stop_seconds} s\n{self.tail()}"
            ) from error
        finally:
            self.kill()

    def kill(self) -> None:
        """End it and its group at once."""
        if self._child:
            self._signal(signal.SIGKILL)
            self._child.wait()
            self._wait_for_its_group(self._child.pid)
            self._child = None

    def pause(self) -> None:
        """Freeze it: connections stay open without answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def tail(self, size: int = 3000) -> str:
        """Return the end of its log."""
        if not self.log.exists():
            return ""
        text = self.log.read_text(errors="replace")
        return f"--- {self.log} ---\n{text[-size:]}"

    def _wait_until_ready(self, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.start_seconds
        while not self.is_ready():
            if child.poll() is not None:
                raise ProcessFailedError(f"{self.name} ended with code {child.returncode}\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ProcessFailedError(
                    f"{self.name} was not ready within {self.start_seconds} s\n{self.tail()}"
                )
            time.sleep(POLL_SECONDS)

    def _wait_for_its_group(self, group: int) -> None:
        """Wait for the whole group: another process than the child may still listen on the port."""
        deadline = time.monotonic() + self.stop_seconds
        while any(one.group == group for one in living()) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def _signal(self, number: int) -> None:
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)


@contextlib.contextmanager
def running(process: Process) -> Iterator[None]:
    """Run the process for the context."""
    process.start()
    try:
        yield
    finally:
        process.stop()


def _die_with(parent: int) -> None:
    """In the child, before exec: ask the kernel for SIGKILL at the parent's end."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent has already ended
        os._exit(1)
