"""The connection pool of one API server: authenticated requests with time limits, and streams of lines.

Every wait has a limit, and every failure is a `KubeError`. If the server rejects the credentials, or its certificate is of
an unknown CA, credentials and certificates are read again and the request repeated once. A stream whose peer vanished ends
with an error.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes_asyncio.client import Configuration

from k8s_hub._version import __version__
from k8s_hub.kube.configuration import BEARER, Access, ConnectionSettings, find_access
from k8s_hub.kube.core import decoding
from k8s_hub.kube.core.errors import ConfigurationError, Forbidden, KubeError, Unavailable, error_of_response
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import parse_retry_after

logger = logging.getLogger(__name__)

STALL = 0.25  # seconds a timer may be late before the loop counts as stalled


@asynccontextmanager
async def stall_tolerant_timeout(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError when the body takes longer than ``seconds`` while the event loop runs.

    If the loop stalled and the timer fires late, the deadline moves by the delay, at most by ``seconds``.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def expire(due: float) -> None:
        nonlocal timer
        late = loop.time() - due
        if late < STALL:
            limit.reschedule(due)
        else:
            due = loop.time() + min(late, seconds)
            timer = loop.call_at(due, expire, due)

    due = loop.time() + seconds
    timer = loop.call_at(due, expire, due)
    try:
        async with asyncio.timeout(None) as limit:
            yield
    finally:
        timer.cancel()


AT_ONCE = 32
"""Concurrent requests, besides streams; further ones wait.

Each has a connection, which costs 256 kB of buffer and 2 ms of TLS. Even with an API server that takes a second for each
response, this is more than a hub's starts need.
"""

RENEWAL = 10.0
"""Seconds that a request waits for new credentials at most: a plugin may hang."""

KEEPALIVE = 30.0  # seconds to keep an idle connection: a burst of starts does few TLS handshakes

T = TypeVar("T")
Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    path: str
    params: Params | None = None
    body: Raw | None = None
    content_type: str = "application/json"
    silence: float | None = None  # seconds between two pieces of the reply; None means no limit


class Connection:
    """An open pool of connections to one API server. Its opener owns it: ``await close()``.

    It belongs to the event loop in which it was opened.
    """

    def __init__(self, access: Access, settings: ConnectionSettings) -> None:
        self._access = access
        self._host = access.configuration.host or ""
        self._request_timeout = settings.request_timeout
        self._renewal: asyncio.Task[None] | None = None  # of all requests
        self._is_renewal_failure_logged = False  # until a renewal succeeds
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._fixed = _fixed_arguments(access.configuration)
        self._session = _session(access.configuration)
        self._certificates = _certificates(access.configuration)

    @classmethod
    async def open(cls, settings: ConnectionSettings) -> Self:
        """Find the cluster, without a request yet. Raises `ConfigurationError`."""
        return cls(await find_access(settings), settings)

    async def close(self) -> None:
        """Close every connection; pending requests fail."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
        await self._session.close()

    @property
    def host(self) -> str:
        """The API server's URL, for messages."""
        return self._host

    @property
    def request_timeout(self) -> float:
        """Seconds that one ordinary request may take."""
        return self._request_timeout

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Raw | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,  # noqa: ASYNC109 - a limit with a meaning of its own, see `stall_tolerant_timeout`
    ) -> Raw:
        """Send one request and return the JSON object of the reply; raise the `KubeError` it means.

        ``timeout`` (seconds; None means the settings' ``request_timeout``) covers connecting, sending and the whole
        reply. Waiting for a free connection and stalls of the event loop do not count. After a time-out, the server may or
        may not have carried out the request.
        """
        request = _Request(method=method, path=path, params=params, body=body, content_type=content_type)
        return await self._exchange(request, _json_object, timeout)

    async def read(
        self,
        path: str,
        *,
        params: Params,
        decode: Callable[[bytes], T],
        timeout: float,  # noqa: ASYNC109 - as in `request`
    ) -> T:
        """GET a path and return ``decode(body)``, for a body that may not decode as a whole.

        A ValueError of ``decode`` becomes `Unavailable`.
        """
        return await self._exchange(_Request(method="GET", path=path, params=params), decode, timeout)

    async def _exchange(self, request: _Request, decode: Callable[[bytes], T], timeout: float | None) -> T:  # noqa: ASYNC109
        limit = self._request_timeout if timeout is None else timeout

        async def exchange(token: str | None) -> T:
            with self._named(limit):
                async with (
                    self._turns,
                    stall_tolerant_timeout(limit),
                    await self._send(request, token) as response,
                ):
                    return _decoded(response, await response.read(), decode)

        return await self._authenticated(exchange)

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Params | None = None,
        opening: float,
        silence: float,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream of lines without their newlines. A truncated last line is dropped.

        ``opening``: the time limit for the response headers, in seconds. ``silence``: the longest pause between two chunks
        of the body. Entering raises the server's error. Reading raises `Unavailable` if the stream breaks or falls silent,
        and ends when the server ends it.
        """
        request = _Request(method="GET", path=path, params=params, silence=silence)

        async def head(token: str | None) -> aiohttp.ClientResponse:
            with self._named(opening):
                async with stall_tolerant_timeout(opening):
                    response = await self._send(request, token)
                    if response.status == 200:
                        return response
                    async with response:
                        raise _refusal(response, await response.read())

        response = await self._authenticated(head)
        try:
            async with aclosing(self._lines(response, silence)) as lines:
                yield lines
        finally:
            # Closed, not released: the rest of an endless body is not worth reading.
            response.close()

    async def _lines(self, response: aiohttp.ClientResponse, silence: float) -> AsyncGenerator[bytes, None]:
        rest = b""
        with self._named(silence):
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line:
                        yield line

    async def _authenticated(self, call: Callable[[str | None], Awaitable[T]]) -> T:
        """Return ``call(token)``; call again with new credentials or certificates if one side rejects the other's.

        Without new ones, raise the first error, which callers retry for a while.
        """
        token, session = await self._token(), self._session
        try:
            return await call(token)
        except (Forbidden, Unavailable) as error:
            is_certificate = isinstance(error.__cause__, aiohttp.ClientConnectorCertificateError)
            if not (error.code == 401 or is_certificate) or not await self._renewed(token, session):
                raise
        return await call(await self._token())

    async def _send(self, request: _Request, token: str | None) -> aiohttp.ClientResponse:
        headers = {} if token is None else {"Authorization": token}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        return await self._session.request(
            request.method,
            f"{self._host}{request.path}" + (f"?{urlencode(request.params)}" if request.params else ""),
            data=None if request.body is None else decoding.dumps(request.body).encode(),
            headers=headers,
            timeout=aiohttp.ClientTimeout(sock_connect=self._request_timeout, sock_read=request.silence),
            allow_redirects=False,  # a token must not follow one
            **self._fixed,
        )

    async def _token(self) -> str | None:
        """Return the Authorization header, refreshed by the client library's hook; None for client certificates."""
        token: str | None = await self._access.configuration.get_api_key_with_prefix(BEARER)
        return token

    async def _renewed(self, refused: str | None, session: aiohttp.ClientSession) -> bool:
        """Renew the credentials unless another request already did; return True if token or certificates are new.

        ``session`` is the one of the refused request. A renewal that fails or takes longer than `RENEWAL` is logged.
        """
        if await self._token() == refused and self._session is session:
            if self._renewal is None or self._renewal.done():
                self._renewal = asyncio.create_task(self._renew(), name="renew the credentials")
            # Never cancelled: a plugin that hangs would run on, and the next request start one more.
            await asyncio.wait([self._renewal], timeout=RENEWAL)
            if not self._renewal.done():
                self._log_failed_renewal(f"it takes longer than {RENEWAL:g} s")
        return await self._token() != refused or self._session is not session

    async def _renew(self) -> None:
        try:
            await self._access.renew()
            await self._use_certificates()
        except Exception as error:  # noqa: BLE001 - a plugin or an OpenID provider may fail in any way
            self._log_failed_renewal(str(error) or repr(error))
        else:
            self._is_renewal_failure_logged = False

    async def _use_certificates(self) -> None:
        """Open new connections if the files of the certificates have changed; requests on the earlier ones fail."""
        configuration = self._access.configuration
        found = _certificates(configuration)
        if found == self._certificates:
            return
        earlier, self._session = self._session, _session(configuration)
        self._certificates = found
        logger.info("%s: connecting anew with the certificates that have changed", self._host)
        await earlier.close()

    def _log_failed_renewal(self, why: str) -> None:
        level = logging.DEBUG if self._is_renewal_failure_logged else logging.WARNING
        logger.log(
            level, "%s: the credentials were rejected, and their renewal fails, retrying: %s", self._host, why
        )
        self._is_renewal_failure_logged = True

    @contextmanager
    def _named(self, limit: float) -> Iterator[None]:
        """Turn errors of the transport into `Unavailable` with the server's address."""
        try:
            yield
        except TimeoutError as error:
            message = f"{self._host} did not answer within {limit:g} s"
            raise Unavailable(message, reason="Timeout") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"no connection to {self._host}: {error}", reason="NoConnection") from error


def _decoded(response: aiohttp.ClientResponse, content: bytes, decode: Callable[[bytes], T]) -> T:
    """Return the decoded response, or raise its error."""
    if not 200 <= response.status < 300:
        raise _refusal(response, content)
    try:
        return decode(content)
    except ValueError as error:
        # A proxy's login page, for example: the API server itself has not spoken.
        message = f"{response.host} answered with {len(content)} bytes of {response.content_type} that cannot be read: {error}"
        raise Unavailable(message, code=response.status, reason="NotJSON") from error


def _json_object(content: bytes) -> Raw:
    decoded = decoding.loads(content)
    if not isinstance(decoded, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - bad input, like invalid JSON
    return decoded


def _refusal(response: aiohttp.ClientResponse, content: bytes) -> KubeError:
    return error_of_response(
        response.status,
        response.reason or "",
        content,
        content_type=response.headers.get("Content-Type", "unknown type"),
        retry_after=parse_retry_after(response.headers.get("Retry-After")),
    )


def _fixed_arguments(configuration: Configuration) -> dict[str, Any]:
    """Return the arguments of every request: the proxy and the server name for TLS."""
    arguments = {
        "proxy": configuration.proxy or _proxy_from_environment(configuration.host or ""),
        "proxy_headers": configuration.proxy_headers,
        "server_hostname": configuration.tls_server_name,
    }
    return {name: value for name, value in arguments.items() if value}


def _proxy_from_environment(host: str) -> str | None:
    """Return the proxy for ``host`` by HTTP_PROXY, HTTPS_PROXY and NO_PROXY."""
    url = urlsplit(host)
    # Without brackets and port too: NO_PROXY names an IPv6 address as fd00::1.
    is_direct = proxy_bypass(url.netloc) or proxy_bypass(url.hostname or "")
    return None if is_direct else getproxies().get(url.scheme)


def _session(configuration: Configuration) -> aiohttp.ClientSession:
    """Return a session with the current certificates; raise `ConfigurationError` if they cannot be used."""
    # Not the library's own session: it looks into .netrc and the environment's proxies in a thread, before
    # every single request.
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=_tls(configuration), keepalive_timeout=KEEPALIVE),
        headers={"Accept": "application/json", "User-Agent": f"k8s_hub/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _certificates(configuration: Configuration) -> tuple[bytes, ...]:
    """Return the content of the files of the CA and of the client's certificate."""
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    return tuple(Path(file).read_bytes() for file in files if file)


def _tls(configuration: Configuration) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except OSError as error:  # ssl.SSLError is one
        files = [configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file]
        named = ", ".join(str(file) for file in files if file)
        raise ConfigurationError(f"the certificates {named} cannot be used: {error}") from error
    # Python 3.13 asks for extensions that the CAs of many clusters lack; Kubernetes' own clients do not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
