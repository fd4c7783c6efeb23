"""The second source: single-user servers, asked directly what they run.

Promises:
- never through the proxy and always with ``no_track_activity``: to be asked is no activity;
- an answer that does not come, or makes no sense, is None; nothing is raised, and each kind is told once a sweep;
- at most ``concurrency`` servers at a time, each within ``timeout_seconds``, its answer within LONGEST_ANSWER;
- a token goes to no other address than its server's: redirects are not followed, cookies not kept.
"""

import asyncio
import json
import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from k8s_hub.culler.asking.addresses import Addresses, Template
from k8s_hub.culler.asking.tokens import ServerTokens
from k8s_hub.culler.asking.work import BadWork, work_of
from k8s_hub.culler.judging.facts import Work
from k8s_hub.hub.errors import HubError
from k8s_hub.hub.routes import ServerKey
from k8s_hub.hub.users import Server

log = logging.getLogger(__name__)

Routes = Callable[[], Awaitable[Mapping[ServerKey, str]]]

LONGEST_ANSWER = 1_000_000
"""In bytes: a server that lists thousands of kernels stays below."""

LONGEST_DETAIL = 200
"""In characters: it may quote what a user's server said."""


class Silence(Enum):
    """Why a server gave no answer; the value is what may help."""

    NO_ADDRESS = (
        "no address is known: the token lacks the scope admin:server_state, or its spawner saves no url and "
        "server_url_template is not set"
    )
    UNREACHABLE = "is its port open to the culler (NetworkPolicy), and are its certificates known to it?"
    SLOW = "ask_timeout may be too short, or a NetworkPolicy drops what the culler sends"
    REFUSED = "the token lacks the scope access:servers, or the server cannot reach the hub"
    NO_TOKEN = "the token lacks the scope tokens, or users may not access their own servers"  # noqa: S105 - a sentence
    UNREADABLE = "it is no Jupyter server, or something answers in its place"


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleUserSettings:
    """How single-user servers are asked; raise BadTemplate where ``url_template`` makes no sense."""

    token: str = field(repr=False)  # empty: none, and without ServerTokens no server is asked
    timeout_seconds: float = 5.0  # for one server, all in all; as long again for the hub to make its token
    concurrency: int = 20  # servers asked at the same time
    per_sweep: int = 1000  # servers asked in one sweep
    url_template: str = ""  # of the address of servers whose state does not tell it; empty: none
    ssl_context: ssl.SSLContext | None = None  # None: https is verified by the system's authorities
    template: Template | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.url_template:
            object.__setattr__(self, "template", Template.parse(self.url_template))


class _NoAnswer(Exception):  # noqa: N818 - it says what it is
    def __init__(self, kind: Silence, detail: str) -> None:
        super().__init__(" ".join(detail.split())[:LONGEST_DETAIL])
        self.kind = kind


class SingleUserServers:
    """Asks servers what they run; owns the HTTP session, the routes of one sweep, and the count of what was silent.

    routes: `HubApi.routes`, where the token has the scope ``proxy``; tokens: where it has the scope ``tokens``, and
    is then shown to no server itself.
    """

    def __init__(
        self, settings: SingleUserSettings, routes: Routes | None = None, tokens: ServerTokens | None = None
    ) -> None:
        self.per_sweep = settings.per_sweep
        self.silent: Counter[Silence] = Counter()  # since the last refresh
        self._settings = settings
        self._routes = routes
        self._tokens = tokens
        self._addresses = Addresses(template=settings.template)
        self._places = asyncio.Semaphore(settings.concurrency)
        self._session = aiohttp.ClientSession(
            # What is compressed could be of any size.
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
        """Begin a sweep: read the proxy's routes anew, and tell again of each kind of silence."""
        self.silent.clear()
        if self._tokens is not None:
            self._tokens.forget_old()
        if self._routes is None:
            return
        try:
            routes = await self._routes()
        except HubError as error:
            log.warning("The proxy's routes are not known: %s", error)
            routes = {}
        self._addresses = Addresses(template=self._settings.template, routes=routes)

    async def work(self, server: Server) -> Work | None:
        """Return what a server runs; None where it gave no answer that makes sense."""
        try:
            async with self._places:
                return await self._asked(server)
        except _NoAnswer as silence:
            self._tell(server, silence)
            return None

    def _tell(self, server: Server, silence: _NoAnswer) -> None:
        level = logging.DEBUG if self.silent[silence.kind] else logging.WARNING
        self.silent[silence.kind] += 1
        log.log(
            level,
            "%s does not say what it runs, so that only the hub's word counts: %s. If so for many: %s",
            server,
            silence,
            silence.kind.value,
        )

    async def _asked(self, server: Server) -> Work:
        url = self._addresses.url_of(server)
        if url is None:
            raise _NoAnswer(Silence.NO_ADDRESS, "its address is not known")
        token = await self._token_for(server)
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                kernels = await self._get(f"{url}/api/kernels", token)
                terminals = await self._get(f"{url}/api/terminals", token)
            return work_of(kernels, terminals)
        except TimeoutError:
            seconds = self._settings.timeout_seconds
            raise _NoAnswer(Silence.SLOW, f"{url} did not answer within {seconds:g} s") from None
        except BadWork as error:
            raise _NoAnswer(Silence.UNREADABLE, f"{url}: {error}") from None
        except _NoAnswer as silence:
            if silence.kind is Silence.REFUSED and self._tokens is not None:
                self._tokens.forget(server)
            raise

    async def _token_for(self, server: Server) -> str:
        if self._tokens is None:
            if not self._settings.token:
                raise _NoAnswer(Silence.NO_TOKEN, "there is no token that opens it")
            return self._settings.token
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                return await self._tokens.token_for(server)
        except TimeoutError:
            raise _NoAnswer(Silence.NO_TOKEN, "the hub made no token for it in time") from None
        except HubError as error:
            raise _NoAnswer(Silence.NO_TOKEN, str(error)) from None

    async def _get(self, url: str, token: str) -> Any:
        """Return a decoded answer; None: there is no such thing."""
        try:
            async with self._session.get(
                URL(f"{url}?no_track_activity=1", encoded=True),
                headers={"Authorization": f"token {token}"},
                allow_redirects=False,
            ) as response:
                body = await _bounded(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise _NoAnswer(Silence.UNREACHABLE, f"{url}: {type(error).__name__} {error}") from None
        match response.status:
            case 200:
                return _decoded(body, url)
            case 404:
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
