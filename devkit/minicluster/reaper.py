"""Runs one command and takes everything that it started with it when it ends, or when the cluster does.

A program of its own, with the standard library alone: ``reaper.py COMMAND ARGUMENT...``. Its standard input is
the lifeline, a pipe whose other end only the cluster holds. One byte asks the command to end (SIGTERM); the
pipe's end means that the cluster is gone, however it went, and ends the command at once. Inside of a PID
namespace it is the first process, so the kernel keeps the promise; elsewhere it adopts every orphan below it.
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
    """Return the command's exit code, 128 + N if signal N ended it; nothing that it started is left then."""
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
    """Wait for the command's end, reaping orphans meanwhile, or for the lifeline's."""
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
    """Collect all that have ended; returns the command's code if it is among them."""
    found = None
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                code = os.waitstatus_to_exitcode(ended[1])
                found = code if code >= 0 else 128 - code
    return found


def _end_descendants() -> None:
    """Kill until nobody is left: the children of the killed become ours and are next."""
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
