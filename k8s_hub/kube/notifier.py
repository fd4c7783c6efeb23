"""Wakes waiters: a `Notifier` those of a key, a `Turnstile` one after the other."""

import asyncio
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Notifier(Generic[K]):
    """Wake-up events by key. A key uses memory only while it has subscribers."""

    def __init__(self) -> None:
        self._all: set[asyncio.Event] = set()
        self._by_key: dict[K, set[asyncio.Event]] = {}

    @contextmanager
    def subscribe(self, *keys: K, wakeup: asyncio.Event | None = None) -> Iterator[asyncio.Event]:
        """Yield an event that is set at each notification of one of the keys, or of all. The subscriber clears it.

        ``wakeup``: an event to use instead of a new one, for several subscriptions at once.
        """
        wakeup, wanted = wakeup or asyncio.Event(), set(keys)
        self._all.add(wakeup)
        for key in wanted:
            self._by_key.setdefault(key, set()).add(wakeup)
        try:
            yield wakeup
        finally:
            self._all.discard(wakeup)
            for key in wanted:
                self._by_key[key].discard(wakeup)
                if not self._by_key[key]:
                    del self._by_key[key]

    def notify(self, keys: Iterable[K]) -> None:
        """Wake the subscribers of these keys."""
        for key in keys:
            for wakeup in self._by_key.get(key, ()):
                wakeup.set()

    def notify_all(self) -> None:
        """Wake every subscriber."""
        for wakeup in self._all:
            wakeup.set()

    def __contains__(self, key: K) -> bool:
        """True if the key has subscribers."""
        return key in self._by_key

    def __len__(self) -> int:
        return len(self._all)


class Turnstile:
    """Lets one task through in each iteration of the event loop, in order of arrival.

    Tasks that become ready together, such as the polls of a restarted hub when its first list is complete, would else all
    run in one iteration, and the loop would answer no request meanwhile.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def turn(self) -> None:
        """Return in an iteration of the loop in which no other task is let through."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._let_one_through)
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _let_one_through(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # cancelled with its task
                turn.set_result(None)
                break
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._let_one_through)
