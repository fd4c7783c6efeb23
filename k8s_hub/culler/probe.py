"""The second source: single-user servers, asked directly what they run.

Promises:
- never through the proxy and always with ``no_track_activity``: to be asked is no activity;
- a missing or invalid answer is None; nothing is raised, and each kind is logged once a sweep;
- half an answer counts for what it says: a busy kernel is busy although the terminals are not known;
- at most ``concurrency`` servers at a time, each within ``timeout_seconds``, its answer within LONGEST_ANSWER;
- a token goes to no other address than its server's: redirects are not followed, cookies not kept;
- the culler's own token is shown to no server, unless `ProbeSettings` has it for that.
"""

import asyncio
import json
import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp
from yarl import URL

from k8s_hub.culler.core import needs
from k8s_hub.culler.core.policy import Work
from k8s_hub.culler.core.probing import Addresses, Answer, Template
from k8s_hub.hub.errors import HubError
from k8s_hub.hub.users import Server, ServerKey

log = logging.getLogger(__name__)

Routes = Callable[[], Awaitable[Mapping[ServerKey, str]]]
Scopes = Callable[[], Awaitable[Collection[str]]]

LONGEST_ANSWER = 1_000_000
"""In bytes: a server that lists thousands of kernels stays below."""

LONGEST_DETAIL = 200
"""In characters: it may quote what a user's server said."""


LIFETIME = timedelta(hours=1)
"""Long enough for some sweeps; the hub forgets it then."""

LAST_USE = timedelta(minutes=10)
"""A token is replaced this long before its end: a server caches the hub's answer for five minutes."""

AT_ONCE = 2
"""Tokens made at the same time: each blocks the hub for 7 ms."""


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


class Silence(Enum):
    """Why a server gave no answer; the value says what to check."""

    NO_ADDRESS = "the token lacks the scope admin:server_state, or the spawner saves no url and server_url_template is not set"
    UNREACHABLE = "check that a NetworkPolicy lets the culler in, and that the culler trusts the certificate"
    SLOW = "ask_timeout may be too short, or a NetworkPolicy drops the culler's requests"
    REFUSED = "the server cannot reach the hub, or the culler's token does not open it"
    NO_TOKEN = (
        "set KubeSpawner.save_access_token: servers that start from then on have a token in their state"  # noqa: S105 - a sentence
    )
    UNREADABLE = "it is not a Jupyter server, or something else answers for it"


_OF_THE_SERVER = frozenset({Silence.UNREACHABLE, Silence.SLOW})
"""A server that gave no answer for this gives none to the next question either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """How single-user servers are asked; raise BadTemplate where ``url_template`` is invalid."""

    token: str = field(default="", repr=False)  # shown to servers that have none of their own; empty: none is
    timeout_seconds: float = 5.0  # for one server, all in all; as long again for the hub to make its token
    concurrency: int = 20  # servers asked at the same time
    per_sweep: int = 1000  # servers asked in one sweep
    url_template: str = ""  # of the address of servers whose state does not have it; empty: none
    ssl_context: ssl.SSLContext | None = None  # None: https is verified by the system's authorities
    template: Template | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.url_template:
            object.__setattr__(self, "template", Template.parse(self.url_template))


class _NoAnswer(Exception):
    def __init__(self, kind: Silence, detail: str) -> None:
        super().__init__(" ".join(detail.split())[:LONGEST_DETAIL])
        self.kind = kind


class ServerProbe:
    """Asks servers what they run; owns the HTTP session, the routes of one sweep, and the count of what was silent.

    scopes: what the culler's token may do, as a call that raises HubError where that is not known; None: everything.
    routes: `HubApi.routes`, read where the token has the scope ``proxy``.
    tokens: makes a token for a server whose state has none, where the culler's token has the scope ``tokens``.
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
        self._has: Collection[str] | None = None  # None: it may do everything
        self._addresses = Addresses(template=settings.template)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._session = aiohttp.ClientSession(
            # Refuse compression: a small body could inflate to any size.
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            # A connection that is kept for the next sweep would be one for each server.
            connector=aiohttp.TCPConnector(ssl=settings.ssl_context or True, limit=0, force_close=True),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def refresh(self) -> None:
        """Begin a sweep: learn what the token may do and where servers are, and log each kind of silence again.

        Raise HubError where it is not known what the token may do: then nothing is known about any server.
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
                log.warning("probe: proxy routes not read: %s", error)
        self._addresses = Addresses(template=self._settings.template, routes=routes)

    async def work(self, server: Server) -> Work | None:
        """Return what a server runs; None where it gave no answer that makes sense."""
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
            "%s: reported only a part of what it runs: %s. If this happens to many servers: %s"
            if is_partial
            else "%s: did not report what it runs, so the hub's record counts: %s. If this happens to many servers: %s",
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
        """Return a token that opens this server only, or the culler's own where that was ordered."""
        if server.access_token is not None:
            return server.access_token
        if self._tokens is not None and self._may(needs.TOKENS):
            return await self._made(self._tokens, server)
        if self._settings.token and (self._has is None or needs.opens_servers(self._has)):
            return self._settings.token
        raise _NoAnswer(Silence.NO_TOKEN, "its state has no token that opens it")

    async def _made(self, tokens: ServerTokens, server: Server) -> str:
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                return await tokens.token_for(server)
        except TimeoutError:
            raise _NoAnswer(Silence.NO_TOKEN, "the hub did not make a token for it in time") from None
        except HubError as error:
            raise _NoAnswer(Silence.NO_TOKEN, str(error)) from None

    # --- One request ---

    async def _get(self, url: str, token: str, deadline: float) -> Any:
        """Return a decoded answer, which comes before the deadline; None: there is no such thing."""
        try:
            async with (
                asyncio.timeout_at(deadline),
                self._session.get(
                    URL(f"{url}?no_track_activity=1", encoded=True),
                    headers={"Authorization": f"token {token}"},
                    allow_redirects=False,
                ) as response,
            ):
                body = await _bounded(response)
        except TimeoutError:
            seconds = self._settings.timeout_seconds
            raise _NoAnswer(Silence.SLOW, f"{url} did not answer within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _NoAnswer(Silence.UNREACHABLE, f"{url}: {type(error).__name__} {error}") from None
        match response.status:
            case 200:
                return _decoded(body, url)
            case 404 if url.endswith("/terminals"):
                return None
            case 401 | 403:
                raise _NoAnswer(Silence.REFUSED, f"{url} was answered with {response.status}")
            case code:
                raise _NoAnswer(Silence.UNREADABLE, f"{url} was answered with {code}")


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LONGEST_ANSWER:
            raise _NoAnswer(
                Silence.UNREADABLE, f"{response.url} was answered with more than {LONGEST_ANSWER} bytes"
            )
    return bytes(body)


def _decoded(body: bytes, url: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise _NoAnswer(
            Silence.UNREADABLE, f"{url} was answered with {len(body)} bytes that are not JSON"
        ) from None
