"""What keeps a watch going: it is begun again whatever ends it, after a pause, and lasting trouble is logged once.

An informer and an event watch say what one attempt is; here is what comes after it.
"""

import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from time import perf_counter

from k8s_hub.kube.core.errors import Gone, KubeError, Unavailable
from k8s_hub.kube.core.watch import Odd
from k8s_hub.retries import Chance, RetryPolicy

BUDGET = 0.005
"""Seconds of work between two turns of the loop: a tenth of the longest callback we allow ourselves (50 ms)."""


class Breather:
    """Counts the time since it last let the loop turn. Real time, as a stall is real in virtual time too."""

    def __init__(self, budget: float = BUDGET) -> None:
        self._budget = budget
        self._since = perf_counter()

    async def breathe(self) -> None:
        """Let the loop turn once if the budget is spent."""
        if perf_counter() - self._since >= self._budget:
            await asyncio.sleep(0)
            self._since = perf_counter()


logger = logging.getLogger(__name__)

UNREACHABLE = RetryPolicy(initial=0.5, ceiling=4.0, deadline=math.inf)
"""When the server is away or busy. The ceiling keeps the promise to be fresh 5 s after its return, and costs it
one request each 2 s on average from each of a hub's three or four informers."""

REFUSED = RetryPolicy(initial=0.5, ceiling=30.0, deadline=math.inf)
"""When the server answers, but with something that waiting is unlikely to heal (a Role, 410 after 410, what our code
cannot take in): a list of ten thousand pods each 4 s would be an attack."""

HEALTHY = 5.0  # seconds a watch must have lasted for its end to be ordinary
LOUD = 3  # failures in a row before the log hears of it: a single cut is nobody's business
MOST_ODD = 100  # odd objects named in the log; whoever makes more of them does not fill it


class Watcher:
    """Supervises one watch: `run` is its task, which ends only when it is cancelled, or told to by ``on_end``."""

    def __init__(
        self,
        name: str,
        attempt: Callable[[], Awaitable[None]],
        on_end: Callable[[KubeError | None], bool],
        *,
        chance: Chance = random.random,
    ) -> None:
        """Name the watch for the log.

        attempt: go on from where the watch stands, call `note_opened` once it is open, and raise `KubeError`.
        on_end: hears what ended an attempt (None: the server, as it does from time to time) before the pause; False
        means that there is to be no other.
        """
        self._name = name
        self._attempt = attempt
        self._on_end = on_end
        self._chance = chance
        self._opened = math.inf  # loop time at which the current or last watch was opened
        # By policy, since a watch lasted: those of an outage do not delay the list that follows it.
        self._failures = Counter[RetryPolicy]()
        self._is_told = False  # the log was told of trouble, and not yet of its end
        self._is_crash_told = False
        self._odd: set[str] = set()  # objects that the log was told of

    async def run(self) -> None:
        """Attempt again and again."""
        self._failures.clear()
        while True:
            error = await self._outcome()
            if not self._on_end(error):
                return
            await asyncio.sleep(self._pause_after(error))

    def note_opened(self) -> None:
        """The watch is open."""
        self._opened = asyncio.get_running_loop().time()
        if self._is_told:
            self._is_told = False
            logger.info("%s: the watch is open again", self._name)

    def note_odd(self, odd: Odd) -> None:
        """Log that an object is skipped, once for each object."""
        what = str(odd)
        if what not in self._odd and len(self._odd) < MOST_ODD:
            self._odd.add(what)
            logger.warning("%s: %s is skipped: %s", self._name, what, odd.why)
            logger.debug("%s: %s is skipped", self._name, what, exc_info=odd.error)

    async def _outcome(self) -> KubeError | None:
        """Return what ended an attempt; None is a watch's ordinary end."""
        self._opened = math.inf
        try:
            await self._attempt()
        except KubeError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the supervisor: a bug must not end the watch for ever
            self._log_crash(error)
            return Gone(f"a bug: {type(error).__name__}", reason="Bug")
        return None

    def _log_crash(self, error: Exception) -> None:
        if not self._is_crash_told:
            self._is_crash_told = True
            logger.error("%s: the watch failed by a bug, retrying", self._name, exc_info=error)

    def _pause_after(self, error: KubeError | None) -> float:
        """Return the seconds to wait before going on after ``error``, or after a watch's ordinary end."""
        lasted = asyncio.get_running_loop().time() - self._opened  # minus infinity if no watch was opened
        if lasted >= HEALTHY:
            self._failures.clear()
            self._is_crash_told = False
            if error is None:
                return 0.0
        policy = UNREACHABLE if error is None or isinstance(error, Unavailable) else REFUSED
        attempt = self._failures[policy]
        self._failures[policy] += 1
        self._log_trouble(error)
        if isinstance(error, Gone) and attempt == 0:
            return 0.0
        asked_for = (error.retry_after or 0.0) if error is not None else 0.0
        return max(policy.delay(attempt, self._chance), min(asked_for, REFUSED.ceiling))

    def _log_trouble(self, error: KubeError | None) -> None:
        if not self._is_told and max(self._failures.values()) >= LOUD:
            self._is_told = True
            logger.warning(
                "%s: the watch fails, retrying: %s", self._name, error or "the server ends it at once"
            )
