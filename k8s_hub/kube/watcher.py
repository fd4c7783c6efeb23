"""The loop of every watch: list, watch, resume, back off. Informers and event watches use it.

`k8s_hub.kube.core.watch` decides what to do next; this module does it, in one task. After any failure it starts again after
a capped, jittered pause. It logs a lasting failure once, and its end once a watch has lasted `HEALTHY` seconds.
"""

import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from time import perf_counter

from k8s_hub.kube.api import PAGE_SIZE, KubeApi
from k8s_hub.kube.core.errors import KubeError, RelistRequired, Unavailable
from k8s_hub.kube.core.resources import Resource
from k8s_hub.kube.core.watch import (
    Empty,
    Error,
    Listed,
    Malformed,
    Paging,
    State,
    WatchEvent,
    Watching,
    after,
    after_end,
    end_meant_by,
)
from k8s_hub.kube.metrics import LISTS
from k8s_hub.retries import RetryPolicy, Rng

logger = logging.getLogger(__name__)

UNAVAILABLE_BACKOFF = RetryPolicy(initial=0.5, ceiling=4.0, deadline=math.inf)
"""For a server that is away or busy. With this ceiling a view is fresh within 5 s after the server's return, and each
informer costs it one request per 2 s on average."""

ERROR_BACKOFF = RetryPolicy(initial=0.5, ceiling=30.0, deadline=math.inf)
"""For errors that are unlikely to pass soon: a missing right, repeated 410s, a bug. A list of ten thousand pods every 4 s
would overload the server."""

HEALTHY = 5.0  # seconds after which the end of a watch is regular
HEALTHY_BEFORE_A_LIST = 60.0  # the same for an end that costs a list
MOST_ERRORS = (
    5  # error events in a row at one version before a list: the server may not be able to go on from there
)
LOG_AFTER_FAILURES = 3  # consecutive failures before one is logged: a single disconnect is normal
MOST_MALFORMED = 100  # unreadable objects to log at most

BUDGET = 0.005
"""Seconds of work between two turns of the event loop: a tenth of the longest acceptable callback (50 ms)."""


class CooperativeYield:
    """Yields to the event loop when a time budget is spent. Measures real time, also in tests with virtual time."""

    def __init__(self, budget: float = BUDGET) -> None:
        self._budget = budget
        self._since = perf_counter()

    async def checkpoint(self) -> None:
        """Yield to the event loop once if the budget is spent."""
        if perf_counter() - self._since >= self._budget:
            await asyncio.sleep(0)
            self._since = perf_counter()


class Watcher:
    """One watch. `run` ends only if it is cancelled, or if ``on_end`` returns False."""

    def __init__(
        self,
        api: KubeApi,
        resource: Resource,
        namespace: str | None,
        *,
        name: str,
        on_event: Callable[[WatchEvent], None],
        on_open: Callable[[], None],
        on_end: Callable[[KubeError | None], bool],
        label_selector: str = "",
        from_now: bool = False,
        watch_timeout: tuple[float, float] | None = None,
        rng: Rng = random.random,
    ) -> None:
        """Watch the resource in a namespace, or in all of them (None).

        name: the prefix of log lines.
        on_event: gets each event and each page of the list.
        on_open: is called when a watch is open.
        on_end: is called after each attempt, before the pause, with its error (None: the server closed the watch as usual).
        It returns False to stop.
        from_now: start with future events, without a list.
        watch_timeout: the range, in seconds, after which the server closes a watch; None leaves it to the server.
        """
        self._api = api
        self._resource = resource
        self._namespace = namespace
        self._name = name
        self._on_event = on_event
        self._on_open = on_open
        self._on_end = on_end
        self._label_selector = label_selector
        self._from_now = from_now
        self._watch_timeout = watch_timeout
        self._rng = rng
        self.state: State = Empty()
        self.last_event_at = -math.inf  # loop time of the last data from the server
        self.failure: KubeError | None = None  # the last attempt's error; None once a list or a watch answers
        self._opened_at = math.inf  # loop time at which the current or last watch was opened
        # By policy, since a watch lasted: those of an outage do not delay the list that follows it.
        self._failures = Counter[RetryPolicy]()
        self._is_trouble_logged = False  # until the recovery is logged
        self._is_crash_logged = False
        self._error_events = ("", 0)  # the version at which the last ones came, and how many in a row
        self._malformed: set[str] = set()  # unreadable objects in the log
        self._open_until: asyncio.Timeout | None = None  # of the open watch; `reopen` lets it expire
        self._relist_on_reopen = False  # after that

    async def run(self) -> None:
        """Start from scratch, and repeat attempts."""
        self.state = Empty()
        self._failures.clear()
        while True:
            self.failure = await self._list_and_watch()
            self.state = after_end(self.state, self.failure)
            if not self._on_end(self.failure):
                return
            await asyncio.sleep(self._pause_after(self.failure))

    def reopen(self, why: str, *, with_list: bool = False) -> bool:
        """Close the open watch, and resume at its version, or list again. ``why`` is for the log.

        Return False if no watch is open, or if it is being closed already.
        """
        if self._open_until is None or self._open_until.when() is not None:
            return False
        logger.warning("%s: opening the watch again: %s", self._name, why)
        self._relist_on_reopen = with_list
        self._open_until.reschedule(asyncio.get_running_loop().time())
        return True

    def note_malformed(self, malformed: Malformed) -> None:
        """Log a skipped object, once per object."""
        what = str(malformed)
        if what not in self._malformed and len(self._malformed) < MOST_MALFORMED:
            self._malformed.add(what)
            logger.warning("%s: skipped %s: %s", self._name, what, malformed.why)
            logger.debug("%s: skipped %s", self._name, what, exc_info=malformed.error)

    # --- One attempt ---

    async def _list_and_watch(self) -> KubeError | None:
        """Return the error that ended an attempt; None for the regular end of a watch."""
        self._opened_at, self._relist_on_reopen = math.inf, False
        end: KubeError | None = None
        try:
            await self._watch(await self._list())
        except KubeError as error:
            end = error
        except Exception as error:  # noqa: BLE001 - the supervisor: a bug must not end the watch for ever
            self._log_crash(error)
            return RelistRequired(f"a bug: {type(error).__name__}", reason="Bug")
        # Whatever the end: the stream may have ended by itself right before the time-out of `reopen`.
        return RelistRequired("the watch has lost an event", reason="Lost") if self._relist_on_reopen else end

    async def _list(self) -> Listed:
        """Read the remaining pages of the list; none if the watch can be resumed."""
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
            # From here on the server's answers count: a list tells of ends, which polls then ask about.
            self.failure = None
            # A turn of the loop between decoding a page and taking it in: each is a long piece of work.
            await asyncio.sleep(0)
            self._handle(page)
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
            timeout_seconds=self._jittered_timeout(),
        )
        async with opened as stream:
            # Not before: a watch that ends at once, again and again, is no recovery.
            recovery = asyncio.get_running_loop().call_later(HEALTHY, self._log_recovery)
            try:
                async with asyncio.timeout(None) as self._open_until:
                    self._note_opened(listed)
                    await self._read(stream)
            except TimeoutError as error:
                raise Unavailable("the watch has not shown a change", reason="Silent") from error
            finally:
                recovery.cancel()
                self._open_until = None

    async def _read(self, stream: AsyncIterator[WatchEvent]) -> None:
        loop_turn = CooperativeYield()
        async for event in stream:
            self._handle(event)
            if not isinstance(self.state, Watching):
                raise self._end_after(event)
            await loop_turn.checkpoint()

    def _end_after(self, event: WatchEvent) -> KubeError:
        """Return why the watch ends after ``event``; after `MOST_ERRORS` errors at one version, that a list is required."""
        end = end_meant_by(event)
        if not (isinstance(event, Error) and isinstance(self.state, Listed)):
            return end
        version, count = self._error_events
        count = count + 1 if version == self.state.resource_version else 1
        self._error_events = (self.state.resource_version, count)
        if count < MOST_ERRORS:
            return end
        self._error_events = ("", 0)
        return RelistRequired(end.message, code=end.code, reason=end.reason, status=end.status)

    def _jittered_timeout(self) -> int | None:
        if self._watch_timeout is None:
            return None
        least, most = self._watch_timeout
        return round(least + (most - least) * self._rng())

    def _note_opened(self, listed: Listed) -> None:
        self.state = Watching(listed.resource_version)
        self.last_event_at = self._opened_at = asyncio.get_running_loop().time()
        self.failure = None
        self._on_open()

    def _handle(self, event: WatchEvent) -> None:
        self._on_event(event)
        self.state = after(self.state, event)
        self.last_event_at = asyncio.get_running_loop().time()

    # --- After an attempt ---

    def _pause_after(self, error: KubeError | None) -> float:
        """Return the seconds to wait after ``error``, or after the regular end of a watch."""
        lasted = asyncio.get_running_loop().time() - self._opened_at  # minus infinity if no watch was opened
        if lasted >= (HEALTHY_BEFORE_A_LIST if isinstance(error, RelistRequired) else HEALTHY):
            self._failures.clear()
        if lasted >= HEALTHY:
            self._is_crash_logged = False
            if error is None:
                return 0.0
        return self._back_off(error)

    def _back_off(self, error: KubeError | None) -> float:
        """Count and log a failure; return the seconds to wait after it, at least those that the server asks for."""
        policy = UNAVAILABLE_BACKOFF if error is None or isinstance(error, Unavailable) else ERROR_BACKOFF
        attempt = self._failures[policy]
        self._failures[policy] += 1
        self._log_trouble(error)
        asked_for = (error.retry_after or 0.0) if error is not None else 0.0
        own = 0.0 if isinstance(error, RelistRequired) and attempt == 0 else policy.delay(attempt, self._rng)
        return max(own, min(asked_for, ERROR_BACKOFF.ceiling))

    def _log_recovery(self) -> None:
        if self._is_trouble_logged:
            self._is_trouble_logged = False
            logger.info("%s: the watch is open again", self._name)

    def _log_crash(self, error: Exception) -> None:
        if not self._is_crash_logged:
            self._is_crash_logged = True
            logger.error("%s: the watch failed because of a bug, retrying", self._name, exc_info=error)

    def _log_trouble(self, error: KubeError | None) -> None:
        if not self._is_trouble_logged and max(self._failures.values()) >= LOG_AFTER_FAILURES:
            self._is_trouble_logged = True
            logger.warning(
                "%s: the watch keeps failing, retrying: %s",
                self._name,
                error or "the server closes it at once",
            )
