"""Finds callbacks of k8s_hub that block the event loop, for debugging.

With `K8S_HUB_SLOW_CALLBACKS=50` in a hub's environment, a second thread samples each callback that takes 50 ms or longer.
If a sample shows code of k8s_hub, the callback is logged with the place and counted.
"""

import asyncio
import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import perf_counter, thread_time
from types import FrameType

from prometheus_client import Counter as Metric

import k8s_hub

log = logging.getLogger(__name__)

VARIABLE = "K8S_HUB_SLOW_CALLBACKS"
SLOW_CALLBACKS = Metric(
    "k8s_hub_slow_callbacks_total", f"Callbacks with code of k8s_hub longer than {VARIABLE} milliseconds."
)
LOOKS_PER_LIMIT = 10  # samples within the limit
_PACKAGE = f"{Path(k8s_hub.__file__).parent}{os.sep}"


class SlowCallbacks:
    """Times the callbacks of one thread's event loops between `start` and `stop`."""

    def __init__(self, limit: float) -> None:
        """``limit`` is in seconds."""
        self._limit = limit
        self._thread = threading.get_ident()
        self._run = asyncio.Handle._run
        #: The start of the running callback, and the sampled places; the loop's thread replaces it.
        self._turn: tuple[float, Counter[str]] | None = None
        self._stopped = threading.Event()
        self._looker = threading.Thread(target=self._look, name="k8s-hub-slow-callbacks", daemon=True)

    def start(self) -> None:
        """Start timing callbacks."""
        asyncio.Handle._run = self._timed()  # type: ignore[method-assign, assignment]
        self._looker.start()

    def stop(self) -> None:
        """Stop timing, and restore asyncio."""
        asyncio.Handle._run = self._run  # type: ignore[method-assign]
        self._stopped.set()
        self._looker.join()

    def _timed(self) -> Callable[[asyncio.Handle], None]:
        # A function, because a bound method in a class would not be given the handle.
        def timed(handle: asyncio.Handle) -> None:
            if threading.get_ident() != self._thread:
                self._run(handle)
                return
            seen: Counter[str] = Counter()
            cpu, begin = thread_time(), perf_counter()
            self._turn = (begin, seen)
            self._run(handle)
            self._turn = None
            if seen and (elapsed := perf_counter() - begin) >= self._limit:
                self._tell(elapsed, thread_time() - cpu, seen)

        return timed

    def _tell(self, elapsed: float, cpu: float, seen: Counter[str]) -> None:
        SLOW_CALLBACKS.inc()
        (place, _), *_ = seen.most_common(1)
        log.warning(
            "Slow callback: %.0f ms, %.0f of them processor time, in %s", 1000 * elapsed, 1000 * cpu, place
        )

    def _look(self) -> None:
        while not self._stopped.wait(self._limit / LOOKS_PER_LIMIT):
            turn = self._turn
            frame = sys._current_frames().get(self._thread) if turn else None
            place = place_of_ours(frame)
            if turn is not None and place is not None:
                turn[1][place] += 1


def place_of_ours(frame: FrameType | None) -> str | None:
    """Return the innermost frame of k8s_hub on a stack as `file:line function`; None without one."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(_PACKAGE):
            return f"{code.co_filename.removeprefix(_PACKAGE)}:{frame.f_lineno} {code.co_qualname}"
        frame = frame.f_back
    return None


@cache
def watch_if_asked() -> SlowCallbacks | None:
    """Start timing this thread's loops for the rest of the process, if the environment asks for it."""
    asked = os.environ.get(VARIABLE, "")
    if not asked:
        return None
    try:
        limit = float(asked) / 1000
    except ValueError:
        limit = 0
    if not limit > 0:  # nor nan
        log.warning(
            "%s=%s is not a number of milliseconds above zero: slow callbacks are not logged.",
            VARIABLE,
            asked,
        )
        return None
    watch = SlowCallbacks(limit)
    watch.start()
    return watch
