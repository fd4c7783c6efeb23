"""A real JupyterHub in the test's process and event loop, on JupyterHub 5.5 and 6.1.

There is no node proxy: routes are in a dictionary, and the hub's readiness check connects to the server directly. A
``RealHub`` leaves no task, socket, signal handler, log handler or singleton behind.
In virtual time the hub's timeouts and tornado's periodic callbacks follow the loop's clock.
"""

import asyncio
import contextvars
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from jupyterhub.app import JupyterHub
from jupyterhub.auth import DummyAuthenticator
from jupyterhub.spawner import Spawner
from tornado.ioloop import IOLoop
from traitlets import Float, Unicode
from traitlets.config import Config

from devkit.demo.settings import free_port
from devkit.testing.eventually import eventually
from devkit.testing.memoryproxy import MemoryProxy

_owner: contextvars.ContextVar[object] = contextvars.ContextVar("realhub_owner", default=None)
"""Set while code of a hub runs. Tasks inherit it, which identifies the tasks of a killed hub."""


class _Hub(JupyterHub):
    """JupyterHub without signals, files and log handlers."""

    memory_routes: dict[str, dict[str, Any]]
    earlier_session_factory: Callable[[], Any] | None = None

    def load_config_file(self, *args, **kwargs):
        """Load no file: the test passes all configuration."""

    def init_signal(self):
        """Keep the signal handlers of the test runner."""

    def _configure_logging(self):
        """Keep pytest's capture of the root logger."""

    def init_logging(self):
        self.log = logging.getLogger("jupyterhub")
        self.log.setLevel(self.log_level)

    def init_db(self):
        """Reuse the connection of the previous hub, so that a database in memory survives a restart."""
        if self.earlier_session_factory is None:
            super().init_db()
        else:
            self.session_factory = self.earlier_session_factory
            self.db = self.session_factory()

    def init_secrets(self):
        """Use the given cookie secret, and write no file."""


class QuietSpawner(Spawner):
    """A spawner without a pod: it runs as long as its state says so, at a URL that always answers."""

    listener_url = Unicode(config=True, help="Set by RealHub: answers 200 to every request.")
    start_seconds = Float(0, config=True, help="How long start() takes.")
    stop_seconds = Float(0, config=True, help="How long stop() takes.")
    running = False
    #: Starts and stops wait for this event; None: they do not wait.
    gate: asyncio.Event | None = None

    def load_state(self, state):
        super().load_state(state)
        self.running = state.get("running", False)

    def get_state(self):
        return {**super().get_state(), "running": self.running}

    def clear_state(self):
        super().clear_state()
        self.running = False

    async def start(self):
        await asyncio.sleep(self.start_seconds)
        await self._passed()
        self.running = True
        return self.listener_url

    async def stop(self, now=False):
        await asyncio.sleep(self.stop_seconds)
        await self._passed()
        self.running = False

    async def _passed(self):
        if self.gate is not None:
            await self.gate.wait()

    async def poll(self):
        return None if self.running else 0


class Answer(asyncio.Protocol):
    """Answers 200 to every request, without a task."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        self.transport.close()


class RealHub:
    """One JupyterHub, its routes, and a client of its REST API.

    ``config`` is a traitlets Config or nested dictionaries; it may be changed between ``kill`` and ``boot``.
    ``db`` is a path, or None for a database in memory; both survive ``restart``.
    """

    def __init__(
        self,
        *,
        spawner_class: type[Spawner] = QuietSpawner,
        config: Mapping[str, Any] | None = None,
        users: Sequence[str] = ("alice",),
        db: Path | None = None,
    ) -> None:
        self.config = Config(config or {})
        self.users = tuple(users)
        self.routes: dict[str, dict[str, Any]] = {}
        self.app: _Hub
        self._spawner_class = spawner_class
        self._db_url = "sqlite:///:memory:" if db is None else f"sqlite:///{db}"
        self._session_factory: Callable[[], Any] | None = None
        self._port = free_port()
        self._tokens: dict[str, str] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._alive = False

    @property
    def url(self) -> str:
        """``http://127.0.0.1:<port>/hub/``."""
        return f"http://127.0.0.1:{self._port}/hub/"

    @property
    def api_url(self) -> str:
        """The value of JUPYTERHUB_API_URL."""
        return self.url + "api"

    @property
    def failure_count(self) -> int:
        """The number of consecutive failures that count for ``consecutive_failure_limit``."""
        return self.app.tornado_application.settings.get("failure_count", 0)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._outer_task_factory = loop.get_task_factory()
        loop.set_task_factory(self._make_task)
        # Periodic callbacks compute their next run from tornado's clock, which would stand still in virtual time.
        IOLoop.current().time = loop.time
        self._listener = await loop.create_server(Answer, "127.0.0.1", 0)
        self._session = aiohttp.ClientSession()
        try:
            await self.boot()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._alive:
                await self._inside(self.app.cleanup())
        finally:
            await self._close()

    async def _close(self) -> None:
        await self.kill()
        await self._session.close()
        self._listener.close()
        await self._listener.wait_closed()
        if self._session_factory is not None:
            self._session_factory.kw["bind"].dispose()
        del IOLoop.current().time
        asyncio.get_running_loop().set_task_factory(self._outer_task_factory)

    # --- The life of the hub's process ---

    async def boot(self) -> None:
        """Start a hub on the same port, database and routes."""
        config = Config(self._defaults())
        config.merge(self.config)
        self.app = _Hub.instance(config=config)
        self.app.memory_routes = self.routes
        self.app.earlier_session_factory = self._session_factory
        self._alive = True
        await self._inside(self.app.initialize([]))
        self._session_factory = self.app.session_factory
        await self._inside(self.app.start())

    async def kill(self) -> None:
        """End the hub like ``kill -9``: it stops no server, saves nothing, and its tasks are gone."""
        if not self._alive:
            return
        self._alive = False
        app = self.app
        if app.http_server:
            app.http_server.stop()
            for connection in tuple(app.http_server._connections):
                connection.stream.close()
        for callback in app._periodic_callbacks.values():
            callback.stop()
        if getattr(app, "metrics_collector", None) is not None:
            app.metrics_collector.stop()
        for user in app._trait_values.get("users", {}).values():  # missing after a failed boot
            for spawner in user.spawners.values():
                spawner.stop_polling()
        await self._cancel_tasks()
        for user in app._trait_values.get("users", {}).values():
            user.spawners.clear()  # its memory is gone: a timer that still comes finds nothing
        await _close_http_client()
        if "db" in app._trait_values:
            app.db.close()
        _Hub.clear_instance()

    async def restart(self) -> None:
        """Kill the hub and start another one. Servers, pods and routes stay."""
        await self.kill()
        await self.boot()

    def _defaults(self) -> dict[str, Any]:
        host, port = self._listener.sockets[0].getsockname()
        return {
            "JupyterHub": {
                "hub_bind_url": f"http://127.0.0.1:{self._port}",
                "bind_url": f"http://127.0.0.1:{free_port()}",  # never bound: there is no proxy
                "db_url": self._db_url,
                "cookie_secret": bytes(32),
                "proxy_class": MemoryProxy,
                "authenticator_class": DummyAuthenticator,
                "spawner_class": self._spawner_class,
                "allow_named_servers": True,
                "log_level": logging.INFO,
            },
            "Authenticator": {
                "allow_all": True,
                "admin_users": {"admin"},
                "allowed_users": {"admin", *self.users},
            },
            # It measures the loop 20 times a second, which in virtual time is all that happens.
            "PeriodicMetricsCollector": {"event_loop_interval_enabled": False, "active_users_enabled": False},
            "QuietSpawner": {"listener_url": f"http://{host}:{port}"},
        }

    def _make_task(self, loop, coro, **kwargs):
        if self._outer_task_factory is None:
            task = asyncio.Task(coro, loop=loop, **kwargs)
        else:
            task = self._outer_task_factory(loop, coro, **kwargs)
        context = kwargs.get("context")
        owner = _owner.get() if context is None else context.get(_owner)
        if owner is self:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return task

    async def _inside(self, work: Awaitable[Any]) -> Any:
        """Run as the hub, which marks new tasks as the hub's."""

        async def run() -> Any:
            return await work

        context = contextvars.copy_context()
        context.run(_owner.set, self)
        return await asyncio.get_running_loop().create_task(run(), context=context)

    async def _cancel_tasks(self) -> None:
        while tasks := [task for task in self._tasks if not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def copy_database(self) -> sqlite3.Connection:
        """Return a copy of the database as it is now."""
        copy = sqlite3.connect(":memory:")
        with self._connected() as database:
            database.backup(copy)
        return copy

    def restore_database(self, copy: sqlite3.Connection) -> None:
        """Put a copy in the place of the database, while no hub runs."""
        with self._connected() as database:
            copy.backup(database)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        connection = self._session_factory.kw["bind"].raw_connection()
        try:
            yield connection.driver_connection
        finally:
            connection.close()

    # --- Its REST API ---

    def token(self, user: str = "admin", *, scopes: Sequence[str] | None = None) -> str:
        """Return a new API token of a user, limited to these scopes if given."""
        return self.app.users[user].new_api_token(scopes=None if scopes is None else list(scopes))

    async def api(
        self, method: str, path: str, *, json: Any = None, user: str | None = "admin"
    ) -> tuple[int, Any]:
        """Call ``/hub/api<path>``; return the status and the decoded body (None if it is empty).

        user None: without a token.
        """
        headers = {}
        if user is not None:
            if user not in self._tokens:
                self._tokens[user] = self.token(user)
            headers["Authorization"] = f"token {self._tokens[user]}"
        async with self._session.request(method, self.api_url + path, json=json, headers=headers) as reply:
            body = await reply.read()
            return reply.status, await reply.json() if body else None

    async def start_server(self, user: str, name: str = "", options: Any = None) -> int:
        """Request a server; return the status: 201 if it is ready, 202 if it is starting."""
        status, _ = await self.api("POST", _server_path(user, name), json=options)
        return status

    async def stop_server(self, user: str, name: str = "", *, remove: bool = False) -> int:
        """Request a server's stop; return the status: 204 if it is stopped, 202 if it is stopping."""
        body = {"remove": True} if remove else None
        status, _ = await self.api("DELETE", _server_path(user, name), json=body)
        return status

    def spawner(self, user: str, name: str = "") -> Spawner | None:
        """Return the hub's spawner of this server; None without one."""
        return self.app.users[user].spawners.get(name)

    async def wait_ready(self, user: str, name: str = "", *, seconds: float = 30) -> None:
        """Wait until the server is ready; raise the error of a failed start."""

        def is_ready() -> bool:
            spawner = self.spawner(user, name)
            if spawner is not None and spawner._failed:
                raise spawner._spawn_future.exception()
            return spawner is not None and spawner.ready

        await eventually(is_ready, seconds=seconds)

    async def wait_stopped(self, user: str, name: str = "", *, seconds: float = 30) -> None:
        """Wait until the hub has no running or pending server of this name."""

        def is_stopped() -> bool:
            spawner = self.spawner(user, name)
            return spawner is None or not spawner.active

        await eventually(is_stopped, seconds=seconds)

    def set_activity(self, user: str, when: datetime, name: str = "") -> None:
        """Write a server's last activity into the database (naive UTC there)."""
        orm_spawner = self.app.users[user].orm_spawners[name]
        orm_spawner.last_activity = when.replace(tzinfo=None)
        self.app.db.commit()


def _server_path(user: str, name: str) -> str:
    return f"/users/{quote(user)}/servers/{quote(name)}" if name else f"/users/{quote(user)}/server"


async def _close_http_client() -> None:
    """Close the hub's own HTTP client, which exists since JupyterHub 6."""
    try:
        from jupyterhub.httpclient import JupyterHubHTTPClient
    except ImportError:
        return
    if JupyterHubHTTPClient.initialized():
        await JupyterHubHTTPClient.instance().close()
