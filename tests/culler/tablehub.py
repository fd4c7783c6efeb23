"""A hub that tells one row of the acceptance table over HTTP, and the server in it that tells its kernels.

It stands for what is not ours: the hub's REST API, as far as the culler speaks it, and a single-user server.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

from aiohttp import web

from devkit.demo.settings import free_port
from tests.culler.table import Row

CULLER_TOKEN = "token-of-the-culler"
SERVER_TOKEN = "token-that-opens-the-server"
PERSON_TOKEN = "token-of-a-person"
SCOPES = [
    *("list:users", "read:users:activity", "read:servers", "delete:servers", "read:users:groups"),
    "admin:server_state",
]


class TableHub:
    """One row's hub; what it is asked to change, it writes down and does not do."""

    def __init__(self, row: Row, port: int) -> None:
        self.row = row
        self.url = f"http://127.0.0.1:{port}"
        self.api_url = f"{self.url}/hub/api"
        self.changes: list[str] = []
        self.asked_servers = 0
        self.user = deepcopy(dict(row.user))
        for server in self.user["servers"].values():
            server["state"] = {"url": self.url + server["url"], "access_token": SERVER_TOKEN}
        self.may_see_groups = "groups" in row.user

    @property
    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/hub/api/", self._info),
            web.get("/hub/api/user", self._owner),
            web.get("/hub/api/users", self._users),
            web.get("/hub/api/users/{name}", self._user),
            web.get("/user/{rest:.*}/api/kernels", self._kernels),
            web.get("/user/{rest:.*}/api/terminals", self._terminals),
            web.route("*", "/{rest:.*}", self._else),
        ]

    async def _info(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": "6.1.1"})

    async def _owner(self, request: web.Request) -> web.Response:
        """Say whose token it is; the person is the row's user, and an admin."""
        if request.headers["Authorization"] == f"token {PERSON_TOKEN}":
            person = {"kind": "user", "name": self.row.user_name, "admin": True, "groups": []}
            return web.json_response(person | {"scopes": ["access:services!service=culler"]})
        scopes = [scope for scope in SCOPES if scope != "read:users:groups" or self.may_see_groups]
        return web.json_response({"kind": "service", "name": "culler", "admin": False, "scopes": scopes})

    async def _users(self, request: web.Request) -> web.Response:
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        page = {"offset": offset, "limit": limit, "total": 1, "next": None}
        items = [self.user][offset : offset + limit]
        return web.json_response({"items": items, "_pagination": page})

    async def _user(self, request: web.Request) -> web.Response:
        if request.match_info["name"] != self.row.user_name:
            return web.json_response({"status": 404, "message": "No such user"}, status=404)
        return web.json_response(self.user)

    async def _kernels(self, request: web.Request) -> web.Response:
        self.asked_servers += 1
        if request.headers["Authorization"] != f"token {SERVER_TOKEN}":
            return web.json_response({"message": "Forbidden"}, status=403)
        return self._told(self.row.kernels)

    async def _terminals(self, _request: web.Request) -> web.Response:
        return self._told(self.row.terminals)

    def _told(self, answer: Any) -> web.Response:
        if answer is None:
            return web.json_response({"message": "The notebook server is not up"}, status=503)
        return web.json_response(answer)

    async def _else(self, request: web.Request) -> web.Response:
        self.changes.append(f"{request.method} {request.path}")
        return web.json_response({"message": "No such thing"}, status=404)


@asynccontextmanager
async def hub_of(row: Row) -> AsyncIterator[TableHub]:
    """Run the hub of a row."""
    port = free_port()
    hub = TableHub(row, port)
    application = web.Application()
    application.add_routes(hub.routes)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield hub
    finally:
        await runner.cleanup()
