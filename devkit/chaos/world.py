"""The world of a campaign: API server and simulated nodes, fault proxy, hub, its proxy, and cullers, as processes.

The hub finds the API server as in a pod (environment, mounted token), but at the fault proxy's address.
"""

import asyncio
import contextlib
import json
import math
import secrets
import shutil
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from devkit.bench.beside.chart import chart_traits
from devkit.bench.beside.cluster import session as admin_session
from devkit.bench.beside.hub import is_healthy
from devkit.chaos.fault_proxy import FaultProxy, fault_proxy
from devkit.chaos.record import OTHER_HUB
from devkit.demo.settings import find_node, find_proxy, free_port
from devkit.realcluster.controlplane import ControlPlane, control_plane
from devkit.realcluster.process import Process
from devkit.testing.realhub import Answer

ROOT = Path(__file__).parents[2]
FULL_DISK = "disk-is-full"
"""The file in a hub's folder that makes its configuration keep the database from growing."""
OTHER_LABELS = {"app.kubernetes.io/instance": OTHER_HUB, "release": OTHER_HUB}
SPAWNERS = {"k8s_hub": "k8s_hub.KubeSpawner", "kubespawner": "kubespawner.KubeSpawner"}
#: The environment below the root of the checkout, by spawner and JupyterHub's major version.
ENVIRONMENTS = {
    ("k8s_hub", 6): ".venv",
    ("k8s_hub", 5): ".venv-hub5",
    ("kubespawner", 6): ".venv-peer",
}
CULLER_SCOPES = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
USER_SCOPES = ["admin:users", "admin:servers", "list:users", "read:users:activity", "users:activity", "proxy"]


class HubAwayError(Exception):
    """The hub did not answer a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Which hub is put under faults."""

    spawner: str = "k8s_hub"
    hub: int = 6

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return ROOT / ENVIRONMENTS[self.spawner, self.hub] / "bin/python"

    @property
    def culler(self) -> tuple[str, ...]:
        """The command of its idle culler."""
        module = "k8s_hub.culler" if self.spawner == "k8s_hub" else "jupyterhub_idle_culler"
        return (str(self.python), "-m", module)


@dataclass(kw_only=True)
class Servers:
    """Plays all users' servers: it answers at every loopback address for which `is_there` says so."""

    port: int
    is_there: Callable[[str], bool] = lambda _address: True


class _Server(Answer):
    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if not self._servers.is_there(transport.get_extra_info("sockname")[0]):
            transport.abort()


@asynccontextmanager
async def _servers() -> AsyncIterator[Servers]:
    servers = Servers(port=free_port())
    listener = await asyncio.get_running_loop().create_server(
        lambda: _Server(servers), "0.0.0.0", servers.port
    )
    try:
        yield servers
    finally:
        listener.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply of the hub's REST API."""

    status: int
    #: Decoded JSON, or the text.
    body: Any


@dataclass(kw_only=True)
class Hub:
    """A JupyterHub with its database in a file and its proxy beside it; it can be killed, paused and started again."""

    folder: Path
    url: str
    process: Process
    proxy: Process
    session: aiohttp.ClientSession
    culler_token: str
    subject: Subject
    settings: dict[str, Any]
    #: Seconds after which every user cancels a start that has not ended.
    patience: float = math.inf

    @property
    def database(self) -> Path:
        return self.folder / "hub.sqlite"

    @property
    def token_file(self) -> Path:
        """The mounted token of its ServiceAccount, which can be replaced."""
        return self.folder / "account/token"

    async def api(self, method: str, path: str, body: Any = None, *, seconds: float = 30) -> Reply:
        """Call `/hub/api<path>`; raise HubAwayError without an answer in time."""
        try:
            async with self.session.request(
                method,
                f"{self.url}/hub/api{path}",
                json=body,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as reply:
                content = await reply.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HubAwayError(f"{method} {path}: {type(error).__name__}: {error}") from error
        try:
            return Reply(status=reply.status, body=json.loads(content) if content else None)
        except ValueError:
            return Reply(status=reply.status, body=content.decode(errors="replace"))

    async def users(self) -> list[dict[str, Any]]:
        """Return all users with all their servers, stopped ones included."""
        found: list[dict[str, Any]] = []
        while True:
            reply = await self.api("GET", f"/users?include_stopped_servers=1&limit=200&offset={len(found)}")
            if reply.status != 200:
                raise HubAwayError(f"GET /users: {reply.status}")
            found += reply.body
            if len(reply.body) < 200:
                return found

    async def start(self) -> None:
        """Start it, and wait until it answers; raise ProcessFailedError if it does not."""
        await asyncio.to_thread(self.process.start)

    async def kill(self) -> None:
        """Kill it with SIGKILL."""
        await asyncio.to_thread(self.process.kill)

    def change(self, section: str, **traits: Any) -> None:
        """Set traits for its next start."""
        self.settings["traits"].setdefault(section, {}).update(traits)
        write_settings(self.folder, self.settings)

    def copy_database(self, target: Path) -> None:
        """Copy the database as it is now, also while the hub runs."""
        with (
            contextlib.closing(sqlite3.connect(self.database)) as source,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Keep the database from growing in the context, and leave no free page in it: SQLite says that the disk is full."""
        mark = self.folder / FULL_DISK
        mark.touch()
        try:
            with contextlib.closing(
                sqlite3.connect(self.database, timeout=30, isolation_level=None)
            ) as filling:
                filling.execute("CREATE TABLE IF NOT EXISTS ballast (content BLOB)")
                filling.execute("PRAGMA max_page_count=1").fetchall()
                with contextlib.suppress(sqlite3.OperationalError):  # the disk is full
                    while True:
                        filling.execute("INSERT INTO ballast VALUES (zeroblob(3500))")
            yield
        finally:
            mark.unlink()
            with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as emptying:
                emptying.execute("DROP TABLE IF EXISTS ballast")

    def restore_database(self, copy: Path) -> None:
        """Put a copy in the place of the database; the hub must be down."""
        for suffix in ("", "-wal", "-shm"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
        shutil.copy(copy, self.database)


@dataclass(kw_only=True)
class World:
    """All of it."""

    plane: ControlPlane
    namespace: str
    folder: Path
    network: FaultProxy
    hub: Hub
    servers: Servers
    #: The API server with the administrator's rights, past the fault proxy.
    admin: aiohttp.ClientSession
    cullers: list[Process] = field(default_factory=list)

    @asynccontextmanager
    async def other_hub(self) -> AsyncIterator[Hub]:
        """Give a hub of another release in the namespace, not started; its database and its servers outlive the context.

        It works past the fault proxy.
        """
        folder = self.folder / OTHER_HUB
        if not folder.exists():
            folder.mkdir()
            token = await asyncio.to_thread(self.plane.make_hub_account, self.namespace, name=OTHER_HUB)
            _mount_account(folder, token, self.plane, self.namespace)
        names = {"pod_name_template": "other-{user_server}", "pvc_name_template": "other-claim-{user_server}"}
        labels = {**self.hub.settings["traits"]["KubeSpawner"]["common_labels"], **OTHER_LABELS}
        traits = {"KubeSpawner": {**names, "common_labels": labels}}
        api_port = urlsplit(self.plane.url).port or 0
        making = _hub(self.hub.subject, self.namespace, api_port, folder, self.servers.port, traits)
        async with making as hub:
            yield hub

    @property
    def audit_log(self) -> Path:
        return self.plane.layout.log("audit")

    async def objects(self, plural: str) -> list[dict[str, Any]]:
        """Return what the API server has now in the namespace."""
        async with self.admin.get(f"/api/v1/namespaces/{self.namespace}/{plural}") as reply:
            reply.raise_for_status()
            return list((await reply.json())["items"])

    def kill_cullers(self) -> None:
        """Kill all cullers that run."""
        for culler in self.cullers:
            culler.kill()

    def make_culler(self, *flags: str) -> Process:
        """Return an idle culler, not started; it is killed at the end."""
        log = self.folder / f"culler-{len(self.cullers)}.log"
        culler = Process(
            name=log.stem,
            command=[
                *("/usr/bin/env", f"JUPYTERHUB_API_TOKEN={self.hub.culler_token}"),
                *(*self.hub.subject.culler, f"--url={self.hub.url}/hub/api", *flags),
            ],
            log=log,
            is_ready=lambda: True,
        )
        self.cullers.append(culler)
        return culler


def hub_traits(namespace: str, server_port: int, ports: Mapping[str, int], tokens: Mapping[str, str]) -> Any:
    """Return the configuration of the chart, and what a campaign needs."""
    traits = chart_traits()
    url = f"http://127.0.0.1:{ports['hub']}"
    traits["JupyterHub"] |= {
        "hub_bind_url": url,
        "bind_url": f"http://127.0.0.1:{ports['proxy']}",
        "authenticator_class": "dummy",
        "allow_named_servers": True,
        "cleanup_servers": False,
        "cleanup_proxy": False,
        "init_spawners_timeout": 1,
        "last_activity_interval": 10,
        "services": [
            {"name": "users", "api_token": tokens["users"]},
            {"name": "culler", "api_token": tokens["culler"]},
        ],
        "load_roles": [
            {"name": "users", "services": ["users"], "scopes": USER_SCOPES},
            {"name": "culler", "services": ["culler"], "scopes": CULLER_SCOPES},
        ],
        "tornado_settings": {"slow_spawn_timeout": 0, "slow_stop_timeout": 0},
    }
    traits["ConfigurableHTTPProxy"] = {
        "should_start": False,
        "auth_token": tokens["proxy"],
        "api_url": f"http://127.0.0.1:{ports['proxy_api']}",
    }
    traits["Authenticator"] = {"allow_all": True}
    traits["KubeSpawner"] |= {
        "namespace": namespace,
        "port": server_port,
        "start_timeout": 60,
        "http_timeout": 20,
        "delete_pvc": False,
    }
    return traits


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write what `hub_config.py` reads."""
    (folder / "settings.json").write_text(json.dumps(settings))


@asynccontextmanager
async def open_world(
    subject: Subject, folder: Path, *, traits: Mapping[str, Mapping[str, Any]] | None = None
) -> AsyncIterator[World]:
    """Run a world with logs in an existing folder; `traits` go over the chart's configuration. Nothing runs afterwards."""
    async with AsyncExitStack() as stack:
        # In a thread, because another world may run in this loop.
        plane = await asyncio.to_thread(stack.enter_context, control_plane(node_count=4, logs=folder))
        made = plane.layout.credentials
        network = await stack.enter_async_context(
            fault_proxy(
                plane.url,
                ca_certificate=plane.ca_certificate,
                certificate=made.serving_certificate,
                key=made.serving_key,
            )
        )
        namespace = plane.make_namespace(f"chaos-{secrets.token_hex(4)}")
        admin = await stack.enter_async_context(admin_session(plane))
        servers = await stack.enter_async_context(_servers())
        token = plane.make_hub_account(namespace)
        _mount_account(folder, token, plane, namespace)
        making = _hub(subject, namespace, network.port, folder, servers.port, traits or {})
        hub = await stack.enter_async_context(making)
        world = World(
            plane=plane,
            namespace=namespace,
            folder=folder,
            network=network,
            hub=hub,
            servers=servers,
            admin=admin,
        )
        stack.callback(world.kill_cullers)
        await hub.start()
        yield world


def _mount_account(folder: Path, token: str, plane: ControlPlane, namespace: str) -> None:
    account = folder / "account"
    account.mkdir()
    (account / "token").write_text(token)
    (account / "ca.crt").write_text(plane.ca_certificate.read_text())
    (account / "namespace").write_text(namespace)


@asynccontextmanager
async def _hub(
    subject: Subject,
    namespace: str,
    api_port: int,
    folder: Path,
    server_port: int,
    traits: Mapping[str, Mapping[str, Any]],
) -> AsyncIterator[Hub]:
    """Give a hub that is not started, with its proxy."""
    ports = {name: free_port() for name in ("hub", "proxy", "proxy_api")}
    tokens = {name: secrets.token_hex(16) for name in ("users", "culler", "proxy")}
    url = f"http://127.0.0.1:{ports['hub']}"
    own = {
        "JupyterHub": {
            "spawner_class": SPAWNERS[subject.spawner],
            "db_url": f"sqlite:///{folder / 'hub.sqlite'}",
            "cookie_secret_file": str(folder / "cookie_secret"),
        }
    }
    settings = {
        "traits": hub_traits(namespace, server_port, ports, tokens),
        "account": str(folder / "account"),
        "full_disk": str(folder / FULL_DISK),
        "environment": {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(api_port),
        },
    }
    for section, values in [*own.items(), *traits.items()]:
        settings["traits"].setdefault(section, {}).update(values)
    write_settings(folder, settings)
    with _kept_running(proxy := _proxy(ports, tokens, url, folder)):
        async with aiohttp.ClientSession(
            headers={"Authorization": f"token {tokens['users']}"}, connector=aiohttp.TCPConnector(limit=0)
        ) as session:
            hub = Hub(
                folder=folder,
                url=url,
                process=_hub_process(subject, url, folder),
                proxy=proxy,
                session=session,
                culler_token=tokens["culler"],
                subject=subject,
                settings=settings,
            )
            try:
                yield hub
            finally:
                hub.process.kill()


@contextlib.contextmanager
def _kept_running(process: Process) -> Iterator[None]:
    """Run a process for the context; it may be killed and started again in it."""
    process.start()
    try:
        yield
    finally:
        process.kill()


def _hub_process(subject: Subject, url: str, folder: Path) -> Process:
    return Process(
        name="hub",
        command=[
            *("/usr/bin/env", f"--chdir={folder}", f"CHAOS_SETTINGS={folder / 'settings.json'}"),
            *("PYTHONUNBUFFERED=1", f"CONFIGPROXY_AUTH_TOKEN={secrets.token_hex(4)}"),
            *(subject.python, "-m", "jupyterhub", "-f", Path(__file__).with_name("hub_config.py")),
        ],
        log=folder / "hub.log",
        is_ready=lambda: is_healthy(url),
        stop_signal=signal.SIGTERM,
    )


def _proxy(ports: Mapping[str, int], tokens: Mapping[str, str], hub_url: str, folder: Path) -> Process:
    api_port = ports["proxy_api"]
    return Process(
        name="proxy",
        command=[
            *("/usr/bin/env", f"CONFIGPROXY_AUTH_TOKEN={tokens['proxy']}", find_node(), find_proxy()),
            *("--ip=127.0.0.1", f"--port={ports['proxy']}"),
            *("--api-ip=127.0.0.1", f"--api-port={ports['proxy_api']}"),
            *(f"--default-target={hub_url}", f"--error-target={hub_url}/hub/error"),
        ],
        log=folder / "proxy.log",
        is_ready=lambda: _listens(api_port),
    )


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True
