"""What the culler's token may do: asked until the hub tells, and again now and then, because roles change."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from itertools import count

from k8s_hub.hub.errors import HubError
from k8s_hub.retries import RetryPolicy

log = logging.getLogger(__name__)

UNTIL_KNOWN = RetryPolicy(initial=0.5, ceiling=30.0, deadline=math.inf, jitter=0.5)
"""A hub that is away when the culler starts, or does not know the token yet, is waited for."""

AGAIN_SECONDS = 300.0
"""Between two questions, once the scopes are known."""


class TokenScopes:
    """Owns what is known of the token's scopes. ``on_change`` is told whenever they are others than before."""

    def __init__(
        self, ask: Callable[[], Awaitable[frozenset[str]]], on_change: Callable[[frozenset[str]], None]
    ) -> None:
        self.known: frozenset[str] | None = None  # None: the hub did not tell yet
        self._ask = ask
        self._on_change = on_change

    async def __call__(self) -> frozenset[str]:
        """Return what is known; ask the hub where nothing is. Raise HubError where it does not tell."""
        return await self.learn() if self.known is None else self.known

    async def learn(self) -> frozenset[str]:
        """Ask the hub, and return what it tells; raise HubError, and know what was known before."""
        has = await self._ask()
        if has != self.known:
            self.known = has
            self._on_change(has)
        return has

    async def keep_known(self) -> None:
        """Ask again and again, until cancelled."""
        for attempt in count():
            try:
                await self.learn()
            except HubError as error:
                log.debug("The scopes of the token are not known: %s", error)
            except Exception:  # As every supervisor here: whatever goes wrong once is asked again.
                log.exception("The scopes of the token are not known")
            await asyncio.sleep(UNTIL_KNOWN.delay(attempt) if self.known is None else AGAIN_SECONDS)
