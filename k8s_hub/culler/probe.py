"""The probe: asks single-user servers for their activity, which the hub may not know.

Guarantees:
- a request never counts as activity: it does not go through the proxy, and has ``no_track_activity``;
- a missing or invalid answer is None, without an exception; each kind is logged once in a sweep;
- a partial answer counts: a kernel is busy even if the terminals are unknown;
- at most ``concurrency`` servers at a time, at most ``timeout_seconds`` and LONGEST_ANSWER for each;
- a token goes to the address of its server only: the probe follows no redirects and keeps no cookies;
- no server sees the culler's own token, unless `ProbeSettings` has it.
"""

import asyncio
import json
import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import aiohttp
from yarl import URL

from k8s_hub.culler.core import needs
from k8s_hub.culler.core.policy import Work
from k8s_hub.culler.core.probing import Addresses, Answer, Template
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import bounded
from k8s_hub.hub.errors import HubError
from k8s_hub.hub.users import Server, ServerKey

log = logging.getLogger(__name__)

Routes = Callable[[], Awaitable[Mapping[ServerKey, str]]]
Scopes = Callable[[], Awaitable[Collection[str]]]

LONGEST_ANSWER = 1_000_000
"""In bytes: enough for thousands of kernels."""

LONGEST_DETAIL = 200
"""In characters: a detail may quote the answer of a user's server."""

LIFETIME = timedelta(hours=1)
"""Lifetime of a token: long enough for some sweeps."""

LAST_USE = timedelta(minutes=10)
"""Replace a token this long before its end: a server caches the hub's answer for five minutes."""

AT_ONCE = 2
"""Tokens to request at the same time: each blocks the hub for 7 ms."""


class ServerTokens:
    """Owns the tokens for servers that the culler asked within the last hour; the hub makes them."""

    def __init__(self, hub: HubApi, now: Callable[[], datetime]) -> None:
        self._hub = hub
        self._now = now
        self._tokens: dict[ServerKey, tuple[str, datetime]] = {}  # each with its end
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def token_for(self, server: Server) -> str:
        """Return a token that opens this server and nothing else; raise HubError."""
        key = server.key
        if key in self._tokens:
            text, ends = self._tokens[key]
            if ends - self._now() > LAST_USE:
                return text
        async with self._slots:
            ends = self._now() + LIFETIME
            text = await self._hub.new_token(
                server.user,
                scopes=[f"access:servers!server={server.user}/{server.name}"],
                lifetime=LIFETIME,
                # The hub does not count requests with a token of such a name as activity of the user.
                note=f"Server at {server.raw.get('url', server)}: to ask what it runs",
            )
        self._tokens[key] = text, ends
        return text

    def forget(self, server: Server) -> None:
        """Forget a token that its server refused."""
        self._tokens.pop(server.key, None)

    def forget_old(self) -> None:
        """Forget expired tokens."""
        now = self._now()
        self._tokens = {key: (text, ends) for key, (text, ends) in self._tokens.items() if ends > now}


class Silence(Enum):
    """Why a server gave no answer; the value is advice."""

    NO_ADDRESS = "grant the scope admin:server_state; if the spawner saves no url, set server_url_template"
    UNREACHABLE = "check that a NetworkPolicy admits the culler, and that the culler trusts the certificate"
    SLOW = "check that ask_timeout is long enough, and that a NetworkPolicy admits the culler"
    REFUSED = "check that the server can reach the hub, and that the culler's token opens the server"
    NO_TOKEN = "set KubeSpawner.save_access_token: servers that start after that have a token in their state"  # noqa: S105 - a sentence
    UNREADABLE = "check that a Jupyter server answers at this address"


_OF_THE_SERVER = frozenset({Silence.UNREACHABLE, Silence.SLOW})
"""After one of these, a further request to the server would fail, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """How to ask single-user servers."""

    token: str = field(default="", repr=False)  # sent to servers without a token of their own; empty: never
    timeout_seconds: float = 5.0  # for one server; the hub has the same time to make a token
    concurrency: int = 20  # servers to ask at the same time
    per_sweep: int = 1000  # servers to ask in one sweep
    template: Template | None = None  # of the addresses of servers without one in their state
    ssl_context: ssl.SSLContext | None = None  # None: the certificate authorities of the system


class _NoAnswer(Exception):
    def __init__(self, kind: Silence, detail: str) -> None:
        super().__init__(" ".join(detail.split())[:LONGEST_DETAIL])
        self.kind = kind


class ServerProbe(AbstractAsyncContextManager["ServerProbe"]):
    """Asks servers what they run; owns the HTTP session, the routes of one sweep, and the count of failures by kind.

    scopes: returns the scopes of the culler's token, or raises HubError; None: the token has all.
    routes: `HubApi.routes`, used if the token has the scope ``proxy``.
    tokens: makes tokens for servers without one in their state, used if the token has the scope ``tokens``.
    """

    def __init__(
        self,
        settings: ProbeSettings,
        routes: Routes | None = None,
        tokens: ServerTokens | None = None,
        scopes: Scopes | None = None,
    ) -> None:
        self.per_sweep = settings.per_sweep
        self.silent: Counter[Silence] = Counter()  # since the last refresh
        self._settings = settings
        self._routes = routes
        self._tokens = tokens
        self._scopes = scopes
        self._has: Collection[str] | None = None  # None: all scopes
        self._addresses = Addresses(template=settings.template)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._session = aiohttp.ClientSession(
            # Refuse compression: a small body could inflate to any size.
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            # Keeping connections open until the next sweep would cost one for each server.
            connector=aiohttp.TCPConnector(ssl=settings.ssl_context or True, limit=0, force_close=True),
        )

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def refresh(self) -> None:
        """Begin a sweep: read scopes and routes, and log each kind of failure again.

        Raise HubError if the scopes are not known: the culler can ask no server then.
        """
        self.silent.clear()
        if self._scopes is not None:
            self._has = await self._scopes()
        if self._tokens is not None:
            self._tokens.forget_old()
        routes: Mapping[ServerKey, str] = {}
        if self._routes is not None and self._may(needs.ROUTES):
            try:
                routes = await self._routes()
            except HubError as error:
                log.warning("ask_servers: routes of the proxy not read: %s", error)
        self._addresses = Addresses(template=self._settings.template, routes=routes)

    async def work(self, server: Server) -> Work | None:
        """Return what a server runs, or None without a valid answer."""
        try:
            async with self._slots:
                return await self._probed(server)
        except _NoAnswer as silence:
            self._log_silence(server, silence)
            return None

    def _log_silence(self, server: Server, silence: _NoAnswer, *, is_partial: bool = False) -> None:
        level = logging.DEBUG if self.silent[silence.kind] else logging.WARNING
        self.silent[silence.kind] += 1
        log.log(
            level,
            "%s: reported only a part of its activity: %s. If this happens to many servers: %s"
            if is_partial
            else "%s: did not report its activity, the hub's record counts: %s. If this happens to many servers: %s",
            server,
            silence,
            silence.kind.value,
        )

    async def _probed(self, server: Server) -> Work | None:
        url = self._addresses.url_of(server)
        if url is None:
            raise _NoAnswer(Silence.NO_ADDRESS, "its address is unknown")
        token = await self._token_for(server)
        deadline = asyncio.get_running_loop().time() + self._settings.timeout_seconds
        answer, silence = Answer(), None
        for path, add in (("kernels", answer.add_kernels), ("terminals", answer.add_terminals)):
            try:
                add(await self._get(f"{url}/api/{path}", token, deadline))
            except _NoAnswer as problem:
                silence = silence or problem
                answer.problem = answer.problem or str(problem)
                if problem.kind in _OF_THE_SERVER:
                    break
        if answer.problem is not None:
            silence = silence or _NoAnswer(Silence.UNREADABLE, f"{url}: {answer.problem}")
            if silence.kind is Silence.REFUSED and self._tokens is not None:
                self._tokens.forget(server)
            self._log_silence(server, silence, is_partial=answer.work is not None)
        return answer.work

    # --- Tokens ---

    def _may(self, scope: str) -> bool:
        return self._has is None or scope in self._has

    async def _token_for(self, server: Server) -> str:
        """Return a token for this server only, or the culler's own with ask_with_own_token."""
        if server.access_token is not None:
            return server.access_token
        if self._tokens is not None and self._may(needs.TOKENS):
            return await self._made(self._tokens, server)
        if self._settings.token and (self._has is None or needs.opens_servers(self._has)):
            return self._settings.token
        raise _NoAnswer(Silence.NO_TOKEN, "its state has no token")

    async def _made(self, tokens: ServerTokens, server: Server) -> str:
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                return await tokens.token_for(server)
        except TimeoutError:
            raise _NoAnswer(
                Silence.NO_TOKEN, f"the hub made no token for it within {self._settings.timeout_seconds:g} s"
            ) from None
        except HubError as error:
            raise _NoAnswer(Silence.NO_TOKEN, str(error)) from None

    # --- One request ---

    async def _get(self, url: str, token: str, deadline: float) -> Any:
        """Return the decoded answer; None: the server has no such resource. Raise _NoAnswer, also at the deadline."""
        try:
            async with (
                asyncio.timeout_at(deadline),
                self._session.get(
                    URL(f"{url}?no_track_activity=1", encoded=True),
                    headers={"Authorization": f"token {token}"},
                    allow_redirects=False,
                ) as response,
            ):
                body = await bounded(response, LONGEST_ANSWER)
        except TimeoutError:
            seconds = self._settings.timeout_seconds
            raise _NoAnswer(Silence.SLOW, f"{url} did not answer within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _NoAnswer(Silence.UNREACHABLE, f"{url}: {type(error).__name__} {error}") from None
        if body is None:
            raise _NoAnswer(
                Silence.UNREADABLE, f"{response.url} answered with more than {LONGEST_ANSWER} bytes"
            )
        match response.status:
            case 200:
                return _decoded(body, url)
            case 404 if url.endswith("/terminals"):
                return None
            case 401 | 403:
                raise _NoAnswer(Silence.REFUSED, f"{url} answered with status {response.status}")
            case code:
                raise _NoAnswer(Silence.UNREADABLE, f"{url} answered with status {code}")


def _decoded(body: bytes, url: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise _NoAnswer(
            Silence.UNREADABLE, f"{url} answered with {len(body)} bytes that are not JSON"
        ) from None
