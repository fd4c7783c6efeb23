"""The connection to one hub: address, token, time limits and certificates. One attempt per request."""

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from k8s_hub.hub.errors import BadReply, HubUnavailable, error_of
from k8s_hub.retries import parse_retry_after
from k8s_hub.text import quoted

LONGEST_REPLY = 256 * 2**20
"""In bytes. Ten thousand users take about 20 MB."""

LONGEST_MESSAGE = 500
"""In characters, of the hub's error messages, which may quote users."""

OnReply = Callable[[str, int, float], None]
"""Called after every request with its method, the HTTP status (0: no response) and the duration in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubConnectionSettings:
    """The hub's address, and how to connect to it."""

    url: str  # of the REST API, such as http://localhost:8081/hub/api
    token: str = field(repr=False)
    request_timeout: float = 60.0  # seconds for one whole request
    ssl_context: ssl.SSLContext | None = None  # None: the system's certificate authorities


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A successful answer: 200 to 299."""

    code: int
    body: Any  # decoded JSON; None without a body


def internal_ssl_context(certificates: Path) -> ssl.SSLContext:
    """Return the TLS context for a hub with ``internal_ssl``, from its ``internal_certs_location``.

    Raise OSError if a file is missing, or ssl.SSLError (also an OSError) if one cannot be used.
    """
    return _context(certificates, "hub-ca")


def servers_ssl_context(certificates: Path) -> ssl.SSLContext:
    """Return the TLS context for users' servers: another authority signs their certificates."""
    return _context(certificates, "notebooks-ca")


def _context(certificates: Path, authority: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates / authority / f"{authority}.crt"))
    own = certificates / "hub-internal"
    context.load_cert_chain(own / "hub-internal.crt", own / "hub-internal.key")
    return context


class HubConnection(AbstractAsyncContextManager["HubConnection"]):
    """Owns the HTTP session; raises `HubError` for everything that is not a success."""

    def __init__(self, settings: HubConnectionSettings, on_reply: OnReply | None = None) -> None:
        self._url = settings.url.rstrip("/")
        self._on_reply = on_reply
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"token {settings.token}"},
            timeout=aiohttp.ClientTimeout(total=settings.request_timeout),
            # No limit here: the caller has its own, and a request that waits for a connection would time out.
            connector=aiohttp.TCPConnector(ssl=settings.ssl_context or True, limit=0),
        )

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        params: Mapping[str, str] | None = None,
        accept: str = "application/json",
        body: Any = None,
    ) -> Reply:
        """Send one request. ``path`` is relative to the API's URL, with quoted parts; ``scope`` is for the error message."""
        asked = f"{method} {self._url}{path}"
        begun = asyncio.get_running_loop().time()
        try:
            async with self._session.request(
                method,
                # As it is: a named server may be called "..", which would be tidied away with what is before it.
                URL(self._url + path, encoded=True),
                params=params,
                headers={"Accept": accept},
                json=body,
                allow_redirects=False,
            ) as response:
                text = await bounded(response, LONGEST_REPLY)
        except TimeoutError:
            self._report(method, 0, begun)
            raise HubUnavailable(f"{asked} timed out") from None
        except aiohttp.ClientError as error:
            self._report(method, 0, begun)
            raise HubUnavailable(f"{asked} failed: {error}") from error
        self._report(method, response.status, begun)
        if text is None:
            raise BadReply(f"{asked} returned more than {LONGEST_REPLY} bytes")
        if not 200 <= response.status < 300:
            if response.status == 404 and text and not _is_of_hub(text):
                # Nobody may take a user for gone because of another page.
                raise BadReply(
                    f"{asked} returned a 404 that is not of JupyterHub's REST API: check that the URL is its, "
                    "such as http://localhost:8081/hub/api",
                    code=404,
                )
            raise error_of(
                response.status,
                asked,
                _message_in(text) or response.reason or "",
                scope=scope,
                retry_after=parse_retry_after(response.headers.get("Retry-After")),
            )
        return Reply(code=response.status, body=_decoded(text, asked))

    def _report(self, method: str, code: int, begun: float) -> None:
        if self._on_reply is not None:
            self._on_reply(method, code, asyncio.get_running_loop().time() - begun)


async def bounded(response: aiohttp.ClientResponse, most: int) -> bytes | None:
    """Return the body; None if it is longer than ``most`` bytes."""
    text = bytearray()
    async for chunk in response.content.iter_any():
        text += chunk
        if len(text) > most:
            return None
    return bytes(text)


def _decoded(text: bytes, asked: str) -> Any:
    if not text:
        return None
    try:
        return _loads(text)
    except ValueError:
        raise BadReply(f"{asked} returned {len(text)} bytes that are not JSON") from None


def _is_of_hub(text: bytes) -> bool:
    """Return whether this is an error of JupyterHub's API, which has these keys, if only with empty values."""
    try:
        body = _loads(text)
    except ValueError:
        return False
    return isinstance(body, dict) and not body.keys().isdisjoint({"status", "message"})


def _message_in(text: bytes) -> str | None:
    """Return the message of an error of the hub; None for a proxy's error page."""
    try:
        body = _loads(text)
    except ValueError:
        return None
    message = body.get("message") if isinstance(body, dict) else None
    if not message:
        return None
    return message[:LONGEST_MESSAGE] if isinstance(message, str) else quoted(message)


def _loads(text: bytes) -> Any:
    """Decode JSON; raise ValueError for anything else, including JSON that is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
