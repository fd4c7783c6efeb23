"""The loop of every watch: list, watch, resume, back off. An informer and an event watch both stand on it.

What to do next is decided in `k8s_hub.kube.core.watch`; here it is done, in one task. Whatever ends a watch, it is
begun again after a capped, jittered pause, and lasting trouble is logged once.
"""

import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import Callable
from time import perf_counter

from k8s_hub.kube.api import PAGE_SIZE, KubeApi
from k8s_hub.kube.core.errors import Gone, KubeError, Unavailable
from k8s_hub.kube.core.resources import Resource
from k8s_hub.kube.core.watch import (
    Empty,
    Listed,
    Odd,
    Paging,
    State,
    WatchEvent,
    Watching,
    after,
    after_end,
    end_meant_by,
)
from k8s_hub.kube.metrics import LISTS
from k8s_hub.retries import Chance, RetryPolicy

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

BUDGET = 0.005
"""Seconds of work between two turns of the loop: a tenth of the longest callback we allow ourselves (50 ms)."""


class CooperativeYield:
    """Counts the time since it last let the loop turn. Real time, as a stall is real in virtual time too."""

    def __init__(self, budget: float = BUDGET) -> None:
        self._budget = budget
        self._since = perf_counter()

    async def checkpoint(self) -> None:
        """Let the loop turn once if the budget is spent."""
        if perf_counter() - self._since >= self._budget:
            await asyncio.sleep(0)
            self._since = perf_counter()


class Watcher:
    """One watch; `run` is its task's work, which ends only when it is cancelled, or when ``on_end`` says so."""

    def __init__(
        self,
        api: KubeApi,
        resource: Resource,
        namespace: str | None,
        *,
        name: str,
        take: Callable[[WatchEvent], None],
        on_open: Callable[[], None],
        on_end: Callable[[KubeError | None], bool],
        label_selector: str = "",
        from_now: bool = False,
        lifetime: tuple[float, float] | None = None,
        chance: Chance = random.random,
    ) -> None:
        """Watch the resource in a namespace, or in all of them (None).

        name: for the log.
        take: takes in an event, or a page of the list.
        on_open: is called once the watch is open.
        on_end: is called with what ended an attempt (None: the server, as it does from time to time) before the pause;
        False means that there is to be no other.
        from_now: begin with what happens from now on; nothing is listed that is past.
        lifetime: between how many seconds the server is to end a watch; None leaves it to the server.
        """
        self._api = api
        self._resource = resource
        self._namespace = namespace
        self._name = name
        self._take_in = take
        self._on_open = on_open
        self._on_end = on_end
        self._label_selector = label_selector
        self._from_now = from_now
        self._lifetime = lifetime
        self._chance = chance
        self.state: State = Empty()
        self.last_event_at = -math.inf  # loop time of the last word from the server
        self.failure: KubeError | None = None  # what ended the last attempt; None while a watch is open
        self._opened_at = math.inf  # loop time at which the current or last watch was opened
        # By policy, since a watch lasted: those of an outage do not delay the list that follows it.
        self._failures = Counter[RetryPolicy]()
        self._is_trouble_logged = False  # and not yet its end
        self._is_crash_logged = False
        self._odd: set[str] = set()  # objects that the log has named

    async def run(self) -> None:
        """Begin anew, and attempt again and again."""
        self.state = Empty()
        self._failures.clear()
        while True:
            self.failure = await self._outcome()
            self.state = after_end(self.state, self.failure)
            if not self._on_end(self.failure):
                return
            await asyncio.sleep(self._pause_after(self.failure))

    def note_odd(self, odd: Odd) -> None:
        """Log that an object is skipped, once for each object."""
        what = str(odd)
        if what not in self._odd and len(self._odd) < MOST_ODD:
            self._odd.add(what)
            logger.warning("%s: %s is skipped: %s", self._name, what, odd.why)
            logger.debug("%s: %s is skipped", self._name, what, exc_info=odd.error)

    # --- One attempt ---

    async def _outcome(self) -> KubeError | None:
        """Return what ended an attempt; None is a watch's ordinary end."""
        self._opened_at = math.inf
        try:
            await self._watch(await self._listed())
        except KubeError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the supervisor: a bug must not end the watch for ever
            self._log_crash(error)
            return Gone(f"a bug: {type(error).__name__}", reason="Bug")
        return None

    async def _listed(self) -> Listed:
        """Read the pages that are still to be read; none if the watch only has to be resumed."""
        while not isinstance(self.state, Listed):
            page = await self._api.list_page(
                self._resource,
                self._namespace,
                label_selector=self._label_selector,
                limit=1 if self._from_now else PAGE_SIZE,
                continue_token=self.state.continue_token if isinstance(self.state, Paging) else "",
            )
            if self._from_now:  # only its version counts: a watch without one would replay all the past
                return Listed(page.resource_version)
            # A turn of the loop between decoding a page and taking it in: each is a long piece of work.
            await asyncio.sleep(0)
            self._take(page)
            if not page.continue_token:
                LISTS.labels(self._resource.plural).inc()
        return self.state

    async def _watch(self, listed: Listed) -> None:
        """Open a watch and read it until something ends it."""
        opened = self._api.watch(
            self._resource,
            self._namespace,
            resource_version=listed.resource_version,
            label_selector=self._label_selector,
            timeout_seconds=self._drawn_lifetime(),
        )
        async with opened as stream:
            self._note_opened(listed)
            loop_turn = CooperativeYield()
            async for event in stream:
                self._take(event)
                if not isinstance(self.state, Watching):
                    raise end_meant_by(event)
                await loop_turn.checkpoint()

    def _drawn_lifetime(self) -> int | None:
        if self._lifetime is None:
            return None
        least, most = self._lifetime
        return round(least + (most - least) * self._chance())

    def _note_opened(self, listed: Listed) -> None:
        self.state = Watching(listed.resource_version)
        self.last_event_at = self._opened_at = asyncio.get_running_loop().time()
        self.failure = None
        if self._is_trouble_logged:
            self._is_trouble_logged = False
            logger.info("%s: the watch is open again", self._name)
        self._on_open()

    def _take(self, event: WatchEvent) -> None:
        self._take_in(event)
        self.state = after(self.state, event)
        self.last_event_at = asyncio.get_running_loop().time()

    # --- What comes after it ---

    def _pause_after(self, error: KubeError | None) -> float:
        """Return the seconds to wait before going on after ``error``, or after a watch's ordinary end."""
        lasted = asyncio.get_running_loop().time() - self._opened_at  # minus infinity if no watch was opened
        if lasted >= HEALTHY:
            self._failures.clear()
            self._is_crash_logged = False
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

    def _log_crash(self, error: Exception) -> None:
        if not self._is_crash_logged:
            self._is_crash_logged = True
            logger.error("%s: the watch failed by a bug, retrying", self._name, exc_info=error)

    def _log_trouble(self, error: KubeError | None) -> None:
        if not self._is_trouble_logged and max(self._failures.values()) >= LOUD:
            self._is_trouble_logged = True
            logger.warning(
                "%s: the watch fails, retrying: %s", self._name, error or "the server ends it at once"
            )
