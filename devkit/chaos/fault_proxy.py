"""An HTTP proxy between a hub and its API server that plays a bad network or a bad API server.

It calls `decide` for each request and applies the fate that this returns. Open connections can be cut or muted later.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
from aiohttp import web

from devkit.demo.settings import free_port

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date"})
VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, kw_only=True)
class ApiRequest:
    """One request for the API server, in the words of Roles."""

    method: str
    #: With the query.
    path: str
    body: bytes = b""

    @cached_property
    def verb(self) -> str:
        """One of get, list, watch, create, update, patch, delete, deletecollection."""
        query = parse_qs(urlsplit(self.path).query)
        if self.method == "GET" and query.get("watch", [""])[0] in {"1", "true", "True"}:
            return "watch"
        if not self._name_in_path and self.method in {"GET", "DELETE"}:
            return {"GET": "list", "DELETE": "deletecollection"}[self.method]
        return VERBS.get(self.method, self.method.lower())

    @property
    def namespace(self) -> str | None:
        return self._parts[1] if self._parts[:1] == ["namespaces"] and len(self._parts) > 2 else None

    @property
    def resource(self) -> str:
        """The plural, with the subresource: "pods", "pods/eviction"; "" for what is no resource."""
        return "/".join([*self._inside[:1], *self._inside[2:]])

    @property
    def name(self) -> str:
        """The object's name; of a create the name in its body; "" where there is none."""
        if self.method == "POST" and not self._name_in_path:
            return str(self.decoded.get("metadata", {}).get("name", ""))
        return self._name_in_path

    @cached_property
    def decoded(self) -> dict[str, Any]:
        """The body, if it is a JSON object."""
        with suppress(ValueError):
            body = json.loads(self.body)
            if isinstance(body, dict):
                return body
        return {}

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.name}".strip()

    @cached_property
    def _parts(self) -> list[str]:
        """The path behind the group and version."""
        match urlsplit(self.path).path.strip("/").split("/"):
            case ["api", _, *rest] | ["apis", _, _, *rest]:
                return rest
            case _:
                return []

    @property
    def _inside(self) -> list[str]:
        """The path behind the namespace, too."""
        return self._parts[2:] if self.namespace else self._parts

    @property
    def _name_in_path(self) -> str:
        return self._inside[1] if len(self._inside) > 1 else ""


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Pass:
    """The API server answers; `then` is called once the whole reply is with the client's kernel."""

    then: Callable[[], None] = nothing
    #: Tells of each line of a reply, such as an event of a watch, whether it is passed on; None passes all.
    keep: Callable[[bytes], bool] | None = None


@dataclass(frozen=True, slots=True)
class Delay:
    """The request is passed on after some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """The proxy answers with an error in the API server's place."""

    code: int
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The proxy answers with this JSON in the API server's place."""

    body: bytes


@dataclass(frozen=True, slots=True)
class DropRequest:
    """The connection is reset; the API server hears nothing."""


@dataclass(frozen=True, slots=True)
class DropReply:
    """The API server does it; then `then` is called, and the connection is reset without a reply."""

    then: Callable[[], None] = nothing


@dataclass(frozen=True, slots=True)
class Mute:
    """The request is passed on, and nothing comes back: no reply, no end."""


Fate = Pass | Delay | Status | Answer | DropRequest | DropReply | Mute
Decide = Callable[[ApiRequest], Awaitable[Fate]]


async def pass_all(_request: ApiRequest) -> Fate:
    """Play no fault."""
    return Pass()


@dataclass(eq=False)
class Exchange:
    """A request that is being answered."""

    request: ApiRequest
    transport: asyncio.WriteTransport
    is_muted: bool = False

    def reset(self) -> None:
        self.transport.abort()


class FaultProxy:
    """The proxy. Set `decide` to play faults; `pass_all` plays none."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self.decide: Decide = pass_all
        self.port = free_port()
        self.open: set[Exchange] = set()
        self._upstream, self._session = upstream, session

    def mute(self, verb: str = "watch") -> int:
        """Swallow from now on what the API server says to open requests; return how many there are."""
        return self._each(verb, lambda exchange: setattr(exchange, "is_muted", True))

    def cut(self, verb: str = "watch") -> int:
        """Reset the connections of open requests; return how many there were."""
        return self._each(verb, Exchange.reset)

    def _each(self, verb: str, act: Callable[[Exchange], None]) -> int:
        met = [exchange for exchange in self.open if exchange.request.verb == verb]
        for exchange in met:
            act(exchange)
        return len(met)

    async def handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        request = ApiRequest(method=incoming.method, path=incoming.raw_path, body=await incoming.read())
        assert incoming.transport is not None
        exchange = Exchange(request, incoming.transport)
        self.open.add(exchange)
        try:
            return await self._answer(incoming, exchange, await self.decide(request))
        except (aiohttp.ClientError, ConnectionError):
            exchange.reset()  # the API server is away, or went away in the middle of its reply
            return web.Response(status=502)
        finally:
            self.open.discard(exchange)

    async def _answer(self, incoming: web.BaseRequest, exchange: Exchange, fate: Fate) -> web.StreamResponse:
        match fate:
            case Status(code, retry_after):
                return _refusal(code, retry_after)
            case Answer(body):
                return web.Response(body=body, content_type="application/json")
            case DropRequest():
                exchange.reset()
                return web.Response()
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Mute():
                exchange.is_muted = True
        request = exchange.request
        headers = {key: value for key, value in incoming.headers.items() if key.lower() not in HOP_BY_HOP}
        async with self._session.request(
            request.method, self._upstream + request.path, data=request.body or None, headers=headers
        ) as reply:
            if isinstance(fate, DropReply):
                await reply.read()
                fate.then()
                exchange.reset()
                return web.Response()
            keep = fate.keep if isinstance(fate, Pass) else None
            response = await self._pass_back(incoming, exchange, reply, keep)
        if isinstance(fate, Pass):
            fate.then()
        return response

    async def _pass_back(
        self,
        incoming: web.BaseRequest,
        exchange: Exchange,
        reply: aiohttp.ClientResponse,
        keep: Callable[[bytes], bool] | None,
    ) -> web.StreamResponse:
        headers = [(key, value) for key, value in reply.headers.items() if key.lower() not in HOP_BY_HOP]
        response = web.StreamResponse(status=reply.status, headers=dict(headers))
        if "Content-Length" in reply.headers:
            response.content_length = int(reply.headers["Content-Length"])
        if not exchange.is_muted:
            await response.prepare(incoming)
        async for chunk in reply.content.iter_any() if keep is None else reply.content:
            if not exchange.is_muted and (keep is None or keep(chunk)):
                await response.write(chunk)
        if exchange.is_muted:
            await asyncio.Event().wait()  # until the client gives up, or somebody cuts it
        await response.write_eof()
        return response


def _refusal(code: int, retry_after: int | None) -> web.Response:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "message": "played by the fault proxy",
        "reason": {
            401: "Unauthorized",
            410: "Expired",
            429: "TooManyRequests",
            503: "ServiceUnavailable",
        }.get(code, "InternalError"),
    }
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.json_response(status, status=code, headers=headers)


@asynccontextmanager
async def fault_proxy(
    upstream: str, *, ca_certificate: Path, certificate: Path, key: Path
) -> AsyncIterator[FaultProxy]:
    """Run a proxy before an API server on 127.0.0.1, with this serving certificate."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate, key)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=ca_certificate)),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        read_bufsize=2**20,
    ) as session:
        proxy = FaultProxy(upstream, session)
        server = web.Server(proxy.handle, handler_cancellation=True, access_log=None)
        listener = await asyncio.get_running_loop().create_server(
            server, "127.0.0.1", proxy.port, ssl=serving
        )
        try:
            yield proxy
        finally:
            listener.close()
            await server.shutdown(timeout=1)
