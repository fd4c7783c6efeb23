"""Creates that were given up without a reply: the API server may still carry them out, for about a minute.

They are only in memory: after a restart of the hub, only the cluster knows of them.
"""

import asyncio
from collections.abc import Hashable

from k8s_hub.objects.keys import Key

LATE_COMMIT = 75.0
"""Seconds after which a create that lost its reply can no longer happen: the API server gives up after 60."""


class LateCreates:
    """The latest create without a reply for each purpose, such as one server's home."""

    def __init__(self) -> None:
        #: With the loop time until which the object may still appear.
        self._waiting: dict[Hashable, tuple[Key, float]] = {}

    def add(self, purpose: Hashable, key: Key) -> None:
        """Note a create that was given up now."""
        now = asyncio.get_running_loop().time()
        self._waiting = {known: late for known, late in self._waiting.items() if late[1] > now}
        self._waiting[purpose] = (key, now + LATE_COMMIT)

    def key_for(self, purpose: Hashable) -> Key | None:
        """Return the key under which the object may still appear; None if there is none."""
        key, expires = self._waiting.get(purpose, (None, 0.0))
        return key if asyncio.get_running_loop().time() < expires else None

    def settle(self, purpose: Hashable) -> None:
        """Forget a create: an object has its name now, so that it can no longer happen."""
        self._waiting.pop(purpose, None)
