"""Tokens that open one server each, for asking it: whoever runs another program there gains nothing by reading one.

The culler's own token may stop every server, and with ``access:servers`` read every user's files. A server belongs
to its user, who can replace what listens there, and would be handed that token.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from k8s_hub.hub.users import Server

if TYPE_CHECKING:
    from k8s_hub.hub.routes import ServerKey

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
        self._places = asyncio.Semaphore(AT_ONCE)

    async def token_for(self, server: Server) -> str:
        """Return a token that opens this server, and nothing else; raise HubError."""
        key = server.user, server.name
        known = self._tokens.get(key)
        if known is not None and known.ends - self._now() > LAST_USE:
            return known.text
        async with self._places:
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
