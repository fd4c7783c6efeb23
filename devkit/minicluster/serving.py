"""The HTTP API of the cluster.

There is no discovery, bodies are JSON, and the only credential is the cluster's token.
"""

import asyncio
import hmac
import json
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, TypeAlias, assert_never

from aiohttp import web

from devkit.minicluster.admission import admit, check_namespace, requested_name
from devkit.minicluster.database import Database
from devkit.minicluster.deletion import check_preconditions, parse_options, plan_deletion
from devkit.minicluster.faults import (
    Call,
    CommitAfterDisconnect,
    CutWatch,
    Effect,
    EventLost,
    Faults,
    MuteWatch,
    Refuse,
    ReplyLost,
    RequestLost,
    Slow,
    WatchGone,
)
from devkit.minicluster.listener import reset
from devkit.minicluster.listing import list_page, parse_page
from devkit.minicluster.resources import NAMESPACES, Target, parse_path
from devkit.minicluster.selection import parse_flag, parse_selection
from devkit.minicluster.statuses import (
    StatusError,
    bad_request,
    not_found,
    success_body,
    unauthorized,
    unsupported_method,
)
from devkit.minicluster.watching import error_line, parse_watch, watch_lines
from k8s_hub.objects.keys import Key, uid_of

_JSON = "application/json"
_HEALTH_PATHS = frozenset({"/readyz", "/livez", "/healthz"})

Spawn: TypeAlias = Callable[[Coroutine[Any, Any, web.Response]], asyncio.Task[web.Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A call with its HTTP request."""

    verb: str
    target: Target
    query: Mapping[str, str]
    body: object

    @property
    def key(self) -> Key:
        """The object of the path."""
        return Key(self.target.namespace or "", self.target.name or "")

    @property
    def call(self) -> Call:
        """The request for fault rules."""
        name = requested_name(self.body) if self.verb == "create" else self.target.name or ""
        return Call(
            verb=self.verb,
            resource=self.target.kind.plural,
            namespace=self.target.namespace or "",
            name=name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of the API."""

    token: str
    now: Callable[[], datetime]
    bookmark_seconds: float
    #: The default storage class.
    default_storage_class: str
    #: Starts a task of the cluster, for work that outlives its connection.
    spawn: Spawn


class Api:
    """Answers requests from the database, and applies fault rules."""

    def __init__(self, database: Database, faults: Faults, settings: Settings) -> None:
        self._database = database
        self._faults = faults
        self._settings = settings

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, unless its connection is gone."""
        try:
            if http.path in _HEALTH_PATHS:
                return web.Response(text="ok")
            self._check_token(http)
            request = await _parse(http)
            return await self._answer(http, request, self._faults.strike(request.call))
        except StatusError as refusal:
            return _json(refusal.code, json.dumps(refusal.body).encode())

    async def _answer(
        self, http: web.BaseRequest, request: Request, effect: Effect | None
    ) -> web.StreamResponse:
        match effect:
            case None | CutWatch() | WatchGone() | MuteWatch() | EventLost():
                return await self._perform(http, request)
            case Slow(seconds=seconds):
                await asyncio.sleep(seconds)
                return await self._perform(http, request)
            case CommitAfterDisconnect(seconds=seconds):
                return await asyncio.shield(self._settings.spawn(self._commit_later(request, seconds)))
            case Refuse():
                return _refusal(effect)
            case ReplyLost():
                with suppress(StatusError):
                    self._settle(request)
                return await _hang_up(http)
            case RequestLost():
                return await _hang_up(http)
            case _:
                assert_never(effect)

    async def _perform(self, http: web.BaseRequest, request: Request) -> web.StreamResponse:
        if request.verb == "watch":
            return await self._watch(http, request)
        return self._settle(request)

    async def _commit_later(self, request: Request, seconds: float) -> web.Response:
        await asyncio.sleep(seconds)
        try:
            return self._settle(request)
        except StatusError as refusal:
            return _json(refusal.code, json.dumps(refusal.body).encode())

    def _settle(self, request: Request) -> web.Response:
        """Carry out anything but a watch, without an await, so that it is atomic."""
        match request.verb:
            case "get":
                return self._get(request)
            case "list":
                return self._list(request)
            case "create":
                return self._create(request)
            case "delete":
                return self._delete(request)
            case verb:
                raise bad_request(f"the verb {verb} cannot be settled")

    def _get(self, request: Request) -> web.Response:
        record = self._database.record(request.target.kind, request.key)
        if record is None:
            raise not_found(request.target.kind.plural, request.key.name)
        return _json(200, record.encoded)

    def _list(self, request: Request) -> web.Response:
        selection = parse_selection(request.target.namespace, request.query)
        page = parse_page(request.query, self._database.version)
        return _json(200, list_page(self._database, request.target.kind, selection, page))

    def _create(self, request: Request) -> web.Response:
        kind, namespace = request.target.kind, request.target.namespace
        if kind.namespaced and namespace is None:
            raise unsupported_method("POST without a namespace", kind.plural)
        obj = admit(kind, namespace, request.body, self._settings.default_storage_class)
        if namespace is not None:
            found = self._database.get(NAMESPACES, Key("", namespace))
            check_namespace(kind, obj["metadata"]["name"], namespace, found)
        return _json(201, self._database.create(kind, obj).encoded)

    def _delete(self, request: Request) -> web.Response:
        kind, key = request.target.kind, request.key
        obj = self._database.get(kind, key)
        if obj is None:
            raise not_found(kind.plural, key.name)
        options = parse_options(request.body, request.query)
        check_preconditions(kind, obj, options)
        dying = plan_deletion(kind, obj, options, self._settings.now())
        if dying is not None:
            left = self._database.update(kind, key, lambda _: dying)
        else:
            left = self._database.remove(kind, key)
        if kind.answers_deleted:
            return _json(200, json.dumps(left).encode())
        return _json(200, json.dumps(success_body(kind.plural, key.name, uid_of(obj))).encode())

    async def _watch(self, http: web.BaseRequest, request: Request) -> web.StreamResponse:
        selection = parse_selection(request.target.namespace, request.query)
        watch = parse_watch(request.target.kind, selection, request.query)
        response = web.StreamResponse(headers={"Content-Type": _JSON})
        response.enable_chunked_encoding()
        await response.prepare(http)
        async with aclosing(watch_lines(watch, self._database, self._settings.bookmark_seconds)) as batches:
            async for lines in batches:
                match self._faults.strike_stream(request.call, has_line=bool(lines)):
                    case CutWatch():
                        await response.write(lines[0][: len(lines[0]) // 2])
                        await _hang_up(http)
                    case WatchGone(message=message):
                        await response.write(error_line(StatusError(410, "Expired", message)))
                        break
                    case MuteWatch():
                        await asyncio.Event().wait()  # until the client leaves
                    case EventLost():
                        await response.write(b"".join(lines[1:]))
                    case None:
                        if lines:
                            await response.write(b"".join(lines))
        await response.write_eof()
        return response

    def _check_token(self, http: web.BaseRequest) -> None:
        said = http.headers.get("Authorization", "")
        if not hmac.compare_digest(said.encode(), f"Bearer {self._settings.token}".encode()):
            raise unauthorized()


async def _parse(http: web.BaseRequest) -> Request:
    target = parse_path(http.path)
    verb = _verb(http, target)
    if parse_dry_run(http.query):
        raise bad_request("the mini cluster does not support dryRun")
    return Request(verb=verb, target=target, query=http.query, body=await _body(http))


def parse_dry_run(query: Mapping[str, str]) -> bool:
    """Return whether the request is a dry run."""
    return bool(query.get("dryRun"))


def _verb(http: web.BaseRequest, target: Target) -> str:
    match http.method, target.name:
        case "GET", None:
            return "watch" if parse_flag(http.query, "watch") else "list"
        case "GET", _:
            return "get"
        case "POST", None:
            return "create"
        case "DELETE", str():
            return "delete"
        case method, _:
            raise unsupported_method(method, http.path)


async def _body(http: web.BaseRequest) -> object:
    content = await http.read()
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError as error:
        raise bad_request(f"the body is not JSON: {error}") from error


def _json(code: int, body: bytes) -> web.Response:
    return web.Response(status=code, body=body, content_type=_JSON)


def _refusal(effect: Refuse) -> web.Response:
    headers = {} if effect.retry_after_seconds is None else {"Retry-After": str(effect.retry_after_seconds)}
    if isinstance(effect.body, str):
        return web.Response(status=effect.code, text=effect.body, content_type="text/html", headers=headers)
    body = json.dumps(effect.body).encode()
    return web.Response(status=effect.code, body=body, content_type=_JSON, headers=headers)


async def _hang_up(http: web.BaseRequest) -> NoReturn:
    """Reset the connection. The server then cancels the handler, so this never returns."""
    if http.transport is not None:
        reset(http.transport)
    await asyncio.get_running_loop().create_future()
    raise ConnectionResetError
