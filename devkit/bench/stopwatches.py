"""What the event loop's own thread has worked, in all and without a pause.

Both count the thread's processor time: what other programs do on a busy machine stretches neither.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, thread_time


@dataclass(slots=True)
class Work:
    """What the loop did while it was watched."""

    #: Seconds of processor time.
    cpu: float = 0.0
    #: Seconds that went by.
    elapsed: float = 0.0
    #: Seconds of processor time of the longest callback, during which nobody else had a turn.
    longest: float = 0.0
    #: What that callback was.
    culprit: str = ""

    @property
    def share(self) -> float:
        """Percent of one core."""
        return 100 * self.cpu / self.elapsed


@contextmanager
def watched() -> Iterator[Work]:
    """Give the work of the running loop, complete once outside."""
    work, run = Work(), asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        begin = thread_time()
        run(handle)
        spent = thread_time() - begin
        if spent > work.longest:
            work.longest, work.culprit = spent, repr(handle)

    asyncio.Handle._run = timed
    begin, cpu = perf_counter(), thread_time()
    try:
        yield work
    finally:
        asyncio.Handle._run = run
        work.cpu, work.elapsed = thread_time() - cpu, perf_counter() - begin
