"""The tokens with which the culler asks: what its own may do, and those that open single servers."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Protocol

from k8s_hub.hub.errors import HubError
from k8s_hub.hub.users import Server
from k8s_hub.retries import RetryPolicy

if TYPE_CHECKING:
    from k8s_hub.hub.routes import ServerKey


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


LIFETIME = timedelta(hours=1)
"""Long enough for some sweeps; the hub forgets it then."""

LAST_USE = timedelta(minutes=10)
"""So long before its end a token is replaced: a server takes the hub's word for five minutes."""

AT_ONCE = 2
"""Tokens made at the same time: one takes the hub 7 ms, in which it answers nobody else."""


class TokenMaker(Protocol):
    """What makes tokens: `HubApi`, where it has the scope ``tokens``."""

    async def new_token(self, user: str, *, scopes: list[str], lifetime: timedelta, note: str) -> str:
        """As HubApi.new_token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    text: str
    ends: datetime


class ServerTokens:
    """Owns the tokens of servers that were asked within the last hour."""

    def __init__(self, maker: TokenMaker, now: Callable[[], datetime]) -> None:
        self._maker = maker
        self._now = now
        self._tokens: dict[ServerKey, _Token] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def token_for(self, server: Server) -> str:
        """Return a token that opens this server, and nothing else; raise HubError."""
        key = server.user, server.name
        known = self._tokens.get(key)
        if known is not None and known.ends - self._now() > LAST_USE:
            return known.text
        async with self._slots:
            ends = self._now() + LIFETIME
            text = await self._maker.new_token(
                server.user,
                scopes=[f"access:servers!server={server.user}/{server.name}"],
                lifetime=LIFETIME,
                # Requests with tokens of such a name are not taken for their user's activity.
                note=f"Server at {server.raw.get('url', server)}: to ask what it runs",
            )
        self._tokens[key] = _Token(text=text, ends=ends)
        return text

    def forget(self, server: Server) -> None:
        """Make a new token next time: a server did not accept this one."""
        self._tokens.pop((server.user, server.name), None)

    def forget_old(self) -> None:
        """Let go of tokens that ended."""
        now = self._now()
        self._tokens = {key: token for key, token in self._tokens.items() if token.ends > now}
