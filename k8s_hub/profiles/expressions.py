"""Whether a text matches an administrator's regular expression, in bounded time.

Python's ``re`` backtracks: ``(a+)+b`` takes minutes for 30 characters, and holds the interpreter's lock meanwhile,
so that no thread could end it. It does look for signals while it works: a timer of CPU time ends it.
"""

import re
import signal
import threading
from types import FrameType

ALLOWED_SECONDS = 0.005
"""CPU time for all expressions of one judgement, which take microseconds unless one backtracks.

What the event loop loses is up to four times as long: the kernel counts in ticks, and ``re`` looks for signals
once in 4096 steps.
"""


class TooSlow(Exception):
    """An expression had no answer within its time."""


class Allowance:
    """The CPU time that one judgement has left for expressions."""

    def __init__(self, seconds: float = ALLOWED_SECONDS) -> None:
        self._left = seconds
        self._is_matching = False

    def matches(self, expression: str, text: str) -> bool:
        """Tell whether the expression matches the whole text; raise TooSlow when no time is left.

        Without a limit outside the main thread, where Python has no signals; a hub's event loop is in the main thread.
        """
        pattern = re.compile(expression)
        if threading.current_thread() is not threading.main_thread():
            return pattern.fullmatch(text) is not None
        if self._left <= 0:
            raise TooSlow
        previous = signal.signal(signal.SIGVTALRM, self._interrupt)
        try:
            self._is_matching = True
            signal.setitimer(signal.ITIMER_VIRTUAL, self._left)
            return pattern.fullmatch(text) is not None
        finally:
            self._is_matching = False  # first: a signal that comes from here on interrupts nothing
            self._left, _ = signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, previous)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self._is_matching:
            raise TooSlow
