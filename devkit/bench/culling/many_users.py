"""Serves a long list of active users without a hub, to measure the cost of listing for a culler."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from k8s_hub.clock import utcnow

MOST_ON_A_PAGE = 200


@dataclass(slots=True, kw_only=True)
class ManyUsers:
    """Answers GET /users, and /user, for the token of a culler with the chart's scopes."""

    number: int
    url: str = ""
    lists_read: int = 0  # to the end

    async def answer(self, asked: web.BaseRequest) -> web.StreamResponse:
        """Answer as JupyterHub 6.1 does."""
        if asked.path.endswith("/users"):
            return web.json_response(self._page(asked))
        scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers", "delete:users"]
        return web.json_response({"kind": "service", "name": "culler", "scopes": scopes, "version": "6.1.1"})

    def _page(self, asked: web.BaseRequest) -> dict[str, Any]:
        offset = int(asked.query.get("offset", 0))
        limit = min(int(asked.query.get("limit") or 50), MOST_ON_A_PAGE)
        end = min(offset + limit, self.number)
        following = None
        if end == self.number:
            self.lists_read += 1
        else:
            url = f"{self.url}/hub/api/users?state=active&offset={end}&limit={limit}"
            following = {"offset": end, "limit": limit, "url": url}
        return {
            "items": [_user(number) for number in range(offset, end)],
            "_pagination": {"offset": offset, "limit": limit, "total": self.number, "next": following},
        }


def _user(number: int) -> dict[str, Any]:
    name, now = f"user-{number:05}@example.org", utcnow().isoformat().replace("+00:00", "Z")
    server = {
        "name": "",
        "full_name": f"{name}/",
        "last_activity": now,
        "started": now,
        "pending": None,
        "ready": True,
        "stopped": False,
        "url": f"/user/{name}/",
        "full_url": None,
        "full_progress_url": None,
        "user_options": {"profile": "small", "image": "quay.io/example/notebook:2026-01"},
        "progress_url": f"/hub/api/users/{name}/server/progress",
    }
    return {
        "name": name,
        "kind": "user",
        "admin": False,
        "last_activity": now,
        "pending": None,
        "server": f"/user/{name}/",
        "servers": {"": server},
    }


@asynccontextmanager
async def many_users(number: int) -> AsyncIterator[ManyUsers]:
    """Serve the list on a port of its own."""
    hub = ManyUsers(number=number)
    runner = web.ServerRunner(web.Server(hub.answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        hub.url = f"http://{host}:{port}"
        yield hub
    finally:
        await runner.cleanup()
