"""Who waits for which key: a notification costs what the key's own waiters cost, and nobody polls."""

import asyncio
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Notifier(Generic[K]):
    """Wake-ups by key, there only while somebody is subscribed."""

    def __init__(self) -> None:
        self._all: set[asyncio.Event] = set()
        self._by_key: dict[K, set[asyncio.Event]] = {}

    @contextmanager
    def subscribe(self, *keys: K, wakeup: asyncio.Event | None = None) -> Iterator[asyncio.Event]:
        """Give an event that is set at each notification of any of the keys, or of all; the subscriber clears it.

        ``wakeup`` is the subscriber's own event, for one with several subscriptions.
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

    def __len__(self) -> int:
        return len(self._all)
