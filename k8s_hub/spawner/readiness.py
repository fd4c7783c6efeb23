"""Whether a server answers over HTTP; asks it as JupyterHub does once the start is over.

The hub waits `http_timeout` for a status below 500 and does not look at the pod meanwhile. If it gives up, the
user reads no reason. Each start pays for the probe, so it is one small request: a client session costs as much
as a tenth of a start.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote

from jupyterhub.utils import make_ssl_context
from tornado.httputil import HTTPHeaders, HTTPInputError

from k8s_hub.spawner.address import Address

CONNECTING = 5.0
"""Seconds to connect; after that, the probe assumes that nothing listens at the address yet."""

ANSWERING = 20.0
"""Seconds that one request may take, as in JupyterHub 5: a server that has just started to listen may be slow."""

LONGEST_HEAD = 65_536
"""The largest head of a response in bytes, as in tornado."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_END = re.compile(rb"\r?\n\r?\n")
_IN_PATHS = "/%:@!$&'()*+,;=~"

_make_ssl_context = lru_cache(maxsize=1)(make_ssl_context)  # 5 ms; the files are the hub's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Asks one server, any number of times; like the hub, takes only scheme, host and port from the URL."""

    scheme: str
    host: str
    port: int
    path: str
    #: Has the hub's own certificates if the server has `internal_ssl`; None without TLS.
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str, *, base_url: str, hub_settings: Mapping[str, Any] | None) -> "Probe":
        """Return a probe of the server at a URL; with internal_ssl, ``hub_settings`` name the hub's certificates."""
        address = Address.of(url)
        return cls(
            scheme=address.scheme,
            host=address.host,
            port=address.port,
            path=quote(f"{base_url}api", safe=_IN_PATHS),
            tls=_certificates(hub_settings or {}) if address.scheme == "https" else None,
        )

    @classmethod
    def by(cls, spawner: Any, url: str) -> "Probe":
        """Return a probe of a spawner's server at a URL."""
        base_url = "/" if spawner.server is None else spawner.server.base_url
        hub_settings = spawner.user.settings if spawner.internal_ssl else None
        return cls.of(url, base_url=base_url, hub_settings=hub_settings)

    @property
    def url(self) -> str:
        """The URL of the request, for messages."""
        return f"{self.scheme}://{self._authority}{self.path}"

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    async def ask(self) -> str | None:
        """Return None if the server is ready for the hub, else the reason, for the administrator."""
        try:
            async with asyncio.timeout(ANSWERING):
                return self._judged(await self._head())
        except TimeoutError:
            return f"{self.url} accepts connections but does not respond"
        except (OSError, ValueError) as error:
            words = next((words for kind, words in _FAILURES if isinstance(error, kind)), "cannot be reached")
            return f"{self.url} {words} ({type(error).__name__})"

    async def _head(self) -> bytes:
        """Return the response up to at least the end of its head; all of it if it ends earlier."""
        request = f"GET {self.path} HTTP/1.1\r\nHost: {self._authority}\r\nConnection: close\r\n\r\n"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECTING):
                transport, exchange = await loop.create_connection(
                    lambda: _Exchange(request.encode()), self.host, self.port, ssl=self.tls
                )
        except TimeoutError as error:
            raise ConnectionError from error
        try:
            return await exchange.head
        finally:
            transport.abort()

    def _judged(self, head: bytes) -> str | None:
        status = _status_in(head)
        if status is None:
            return f"{self.url} does not speak HTTP"
        # A status below 200 only announces the final response.
        return None if 200 <= status < 500 else f"{self.url} answers with status {status}"


_FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (socket.gaierror, "has a host name that the hub cannot resolve"),
    (ssl.SSLError, "has a certificate that the hub does not accept"),
    (OSError, "accepts no connections"),
    (ValueError, "has no valid host name"),
)
"""What an exception says about a server; subclasses come first."""


class _Exchange(asyncio.Protocol):
    """Sends a request as soon as there is a connection, and reads the head of the response."""

    def __init__(self, request: bytes) -> None:
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._request = request
        self._read = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        seen = max(0, len(self._read) - 3)
        self._read += data
        if _END.search(self._read, seen) or len(self._read) > LONGEST_HEAD:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name and meaning
        self._end()

    def _end(self) -> None:
        if not self.head.done():
            self.head.set_result(bytes(self._read))


def _status_in(head: bytes) -> int | None:
    """Return the status of a response if tornado, the hub's client, can read its head; None otherwise."""
    status, end = _STATUS.match(head), _END.search(head)
    if status is None or end is None or end.end() > LONGEST_HEAD:
        return None
    _, _, lines = head[: end.start()].partition(b"\n")
    try:
        lengths = HTTPHeaders.parse(lines.decode("latin-1")).get_list("Content-Length")
        for length in ",".join(lengths).split(",") if lengths else ():
            int(length)
    except (HTTPInputError, ValueError):
        return None
    return int(status[1])


def _certificates(settings: Mapping[str, Any]) -> ssl.SSLContext:
    context: ssl.SSLContext | None = _make_ssl_context(
        settings.get("internal_ssl_key"),
        settings.get("internal_ssl_cert"),
        cafile=settings.get("internal_ssl_ca"),
    )
    return context or ssl.create_default_context()
