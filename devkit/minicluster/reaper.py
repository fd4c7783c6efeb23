"""Runs one command, and kills all its descendants when it ends, or when the cluster does.

A program that only needs the standard library: ``reaper.py COMMAND ARGUMENT...``. Its standard input is the lifeline, a pipe
from the cluster. One byte sends SIGTERM to the command. The end of the pipe means that the cluster is gone, and kills the
command at once. In a PID namespace it is the first process, so the kernel kills the rest; elsewhere it adopts all orphans.
"""

import ctypes
import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path

_LIFELINE = 0
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_KILLED = 128 + signal.SIGKILL


def run(arguments: list[str]) -> int:
    """Return the command's exit code, or 128 + N after signal N, once all its descendants have ended."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # The command shares neither the lifeline nor, by PEP 446, the wake-up pipe.
    nothing = (os.POSIX_SPAWN_OPEN, _LIFELINE, os.devnull, os.O_RDONLY, 0)
    wake_up, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.posix_spawn(arguments[0], arguments, os.environ, file_actions=[nothing])
    try:
        return _attend(child, wake_up)
    finally:
        _end_descendants()


def _attend(child: int, wake_up: int) -> int:
    """Reap orphans until the command or the lifeline ends."""
    while True:
        ready, _, _ = select.select([_LIFELINE, wake_up], [], [])
        if wake_up in ready:
            os.read(wake_up, 512)
            code = _reap(child)
            if code is not None:
                return code
        if _LIFELINE in ready:
            if not os.read(_LIFELINE, 1):
                return _KILLED
            os.kill(child, signal.SIGTERM)


def _reap(child: int) -> int | None:
    """Reap ended processes; return the command's code if it is among them."""
    found = None
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                code = os.waitstatus_to_exitcode(ended[1])
                found = code if code >= 0 else 128 - code
    return found


def _end_descendants() -> None:
    """Kill until no descendant is left: children of killed processes become ours and are next."""
    with suppress(ChildProcessError):
        while True:
            for pid in _children():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def _children() -> list[int]:
    return [int(pid) for pid in Path("/proc/thread-self/children").read_text().split()]


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
