"""A gateway between a culler and its hub: it records every request, refuses some with 503, and drops the replies of others."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

Which = Callable[[int], bool]

SILENT_SECONDS = 3.0
"""Seconds of silence after which a sweep counts as over, for a culler that does not log its end."""


@dataclass(slots=True, kw_only=True)
class Request:
    """One request, and how it was answered."""

    method: str
    path: str
    begun: float  # in the machine's monotonic time
    ended: float = math.inf  # it is not answered yet
    status: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it was answered."""
        return self.ended < math.inf


class Gateway:
    """Passes requests on to a hub.

    refuses(number): which are answered with 503 instead, from 0; resets(number): of which the answer is lost,
    because the connection is reset when the hub has done what was asked.
    """

    def __init__(self, hub_url: str, refuses: Which, resets: Which) -> None:
        self.url = ""
        self.requests: list[Request] = []  # may be emptied at any time
        self._hub_url = hub_url
        self._refuses = refuses
        self._resets = resets
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            connector=aiohttp.TCPConnector(limit=0),
        )

    def is_silent(self) -> bool:
        """Tell whether all that was asked is answered, and nothing was asked for a while."""
        ended = [request.ended for request in self.requests]
        return bool(ended) and monotonic() - max(ended) > SILENT_SECONDS

    async def answer(self, asked: web.BaseRequest) -> web.StreamResponse:
        """Pass one request on, unless it is one to refuse."""
        request = Request(method=asked.method, path=asked.raw_path, begun=monotonic())
        number = len(self.requests)
        is_refused = self._refuses(number)
        self.requests.append(request)
        try:
            response = refusal() if is_refused else await self._pass_on(asked)
            request.status = response.status
            if self._resets(number) and asked.transport is not None:
                request.status = 0
                asked.transport.abort()
        finally:
            request.ended = monotonic()
        return response

    async def _pass_on(self, asked: web.BaseRequest) -> web.Response:
        try:
            return await self._asked_of_the_hub(asked)
        except aiohttp.ClientError:  # The hub is away.
            return refusal()

    async def _asked_of_the_hub(self, asked: web.BaseRequest) -> web.Response:
        # With the caller's Host: the hub makes the next page's address of it.
        async with self._session.request(
            asked.method,
            URL(self._hub_url + asked.raw_path, encoded=True),
            headers=asked.headers,
            data=await asked.read() or None,
            allow_redirects=False,
        ) as response:
            body = await response.read()
            headers: dict[str, Any] = {
                name: response.headers[name]
                for name in ("Content-Type", "Content-Encoding", "Retry-After")
                if name in response.headers
            }
            return web.Response(status=response.status, body=body or None, headers=headers)

    async def close(self) -> None:
        """Close the connections to the hub."""
        await self._session.close()


def refusal() -> web.Response:
    """Return what a proxy says while the server behind it restarts."""
    return web.Response(status=503, text="<html>Service Unavailable</html>", content_type="text/html")


@asynccontextmanager
async def gateway(
    hub_url: str, *, refuses: Which = lambda _number: False, resets: Which = lambda _number: False
) -> AsyncIterator[Gateway]:
    """Run a gateway to the hub on a port of its own."""
    gate = Gateway(hub_url, refuses, resets)
    runner = web.ServerRunner(web.Server(gate.answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = site._server.sockets[0].getsockname()
        gate.url = f"http://{host}:{port}"
        yield gate
    finally:
        await runner.cleanup()
        await gate.close()
