"""Who wants to be woken for which key: ringing costs what the key's own waiters cost, and nobody polls."""

import asyncio
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Bells(Generic[K]):
    """Events by key, there only while somebody listens."""

    def __init__(self) -> None:
        self._all: set[asyncio.Event] = set()
        self._by_key: dict[K, set[asyncio.Event]] = {}

    @contextmanager
    def listening(self, *keys: K, bell: asyncio.Event | None = None) -> Iterator[asyncio.Event]:
        """Give an event that a ring for any of the keys, or for all, sets; the listener clears it.

        ``bell`` is the listener's own event, for one who listens in several places.
        """
        bell, wanted = bell or asyncio.Event(), set(keys)
        self._all.add(bell)
        for key in wanted:
            self._by_key.setdefault(key, set()).add(bell)
        try:
            yield bell
        finally:
            self._all.discard(bell)
            for key in wanted:
                self._leave(key, bell)

    def _leave(self, key: K, bell: asyncio.Event) -> None:
        bells = self._by_key[key]
        bells.discard(bell)
        if not bells:
            del self._by_key[key]

    def ring(self, keys: Iterable[K]) -> None:
        """Wake the listeners of these keys."""
        for key in keys:
            for bell in self._by_key.get(key, ()):
                bell.set()

    def ring_all(self) -> None:
        """Wake every listener."""
        for bell in self._all:
            bell.set()

    def __len__(self) -> int:
        return len(self._all)
