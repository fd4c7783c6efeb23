"""A JupyterHub process whose users all have a server that runs and does nothing, as from a database of yesterday.

It is a process as people run it (`python -m jupyterhub`), so that what a culler costs it is not mixed with what
the culler costs itself. There is no node proxy: routes live in a dictionary.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
from jupyterhub import orm
from jupyterhub.spawner import Spawner
from traitlets import Float

from devkit.demo.settings import free_port
from devkit.testing.realhub import Answer
from k8s_hub.clock import utcnow

TOKEN = "a-token-for-the-culler-under-test"


class IdleSpawner(Spawner):
    """A server that runs until it is stopped, which takes its time."""

    stop_seconds = Float(1, config=True, help="How long stop() takes.")
    running = True

    async def start(self):
        raise NotImplementedError("every server runs already")

    async def stop(self, now=False):
        await asyncio.sleep(self.stop_seconds)
        self.running = False

    async def poll(self):
        return None if self.running else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """A stall of the hub's event loop."""

    until: float  # in the machine's monotonic time
    late: float  # seconds
    cpu: float  # seconds of it that the hub itself worked; the rest belongs to other programs
    collecting: float  # of these, what the garbage collector took

    @property
    def own(self) -> float:
        """The seconds of the hub's own work."""
        return self.cpu - self.collecting


@dataclass(slots=True, kw_only=True)
class IdleHub:
    """A hub, seen from outside; it may be killed and started again."""

    url: str
    directory: Path
    command: tuple[str, ...]
    idle: frozenset[str]  # users whose servers are idle; all others are active
    process: asyncio.subprocess.Process | None = None
    starts: int = 0

    async def start(self) -> None:
        """Start it, and wait until it says that it runs."""
        self.starts += 1
        with (self.directory / "hub.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.directory,
                env={**os.environ, "CULLER_TOKEN": TOKEN},
                stdout=log,
                stderr=log,
            )
        await until_up(self)

    async def end(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal and wait for its end."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
            await self.process.wait()

    async def restart(self) -> None:
        """Kill it, as if its node had died, and start it again with the same database."""
        await self.end(signal.SIGKILL)
        await self.start()

    @property
    def api_url(self) -> str:
        """The value of JUPYTERHUB_API_URL."""
        return f"{self.url}/hub/api"

    async def active_users(self) -> int:
        """Return how many users have a server."""
        return (await self._users(0, 1))["_pagination"]["total"]

    async def running(self, *, ready: bool = False) -> frozenset[str]:
        """Return the users who have a server; ready: that the hub has looked at, and that does not stop."""
        names: list[str] = []
        offset = 0
        while True:
            page = await self._users(offset, 200)
            names += [
                user["name"]
                for user in page["items"]
                if not ready or any(server["ready"] for server in user["servers"].values())
            ]
            if page["_pagination"]["next"] is None:
                return frozenset(names)
            offset = page["_pagination"]["next"]["offset"]

    async def _users(self, offset: int, limit: int) -> dict[str, Any]:
        headers = {
            "Authorization": f"token {TOKEN}",
            "Accept": "application/jupyterhub-pagination+json",
        }
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{self.api_url}/users?state=active&offset={offset}&limit={limit}") as response,
        ):
            return await response.json()

    def stalls(self, *, since: float, until: float) -> list[Stall]:
        """Return what the probe saw in this time."""
        lines = (self.directory / "stalls.jsonl").read_text(encoding="utf-8").splitlines()
        stalls = [Stall(**json.loads(line)) for line in lines]
        return [stall for stall in stalls if since <= stall.until and stall.until - stall.late <= until]


@asynccontextmanager
async def idle_hub(
    directory: Path,
    *,
    users: int,
    idle: timedelta,
    others: int = 0,
    stop_seconds: float = 1.0,
    **settings: int,
) -> AsyncIterator[IdleHub]:
    """Run a hub with so many servers, all active ``idle`` ago, and those of ``others`` among them, active now.

    stop_seconds: how long each takes to stop; ``settings`` are of the class JupyterHub.
    """
    servers = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0)
    names = [f"user-{number:05}" for number in range(users + others)]
    idle_names = frozenset(names[index * len(names) // users] for index in range(users))
    write_database(
        directory / "hub.sqlite",
        {name: idle if name in idle_names else timedelta() for name in names},
        server_port=servers.sockets[0].getsockname()[1],
    )
    url = f"http://127.0.0.1:{free_port()}"
    arguments = {
        "hub_bind_url": url,
        "bind_url": f"http://127.0.0.1:{free_port()}",  # never bound
        "db_url": f"sqlite:///{directory / 'hub.sqlite'}",
        "cleanup_servers": False,
        **settings,
    }
    hub = IdleHub(
        url=url,
        directory=directory,
        idle=idle_names,
        command=(
            *(sys.executable, "-m", "jupyterhub", "-f", str(Path(__file__).with_name("hub_config.py"))),
            *(f"--JupyterHub.{name}={value}" for name, value in arguments.items()),
            f"--IdleSpawner.stop_seconds={stop_seconds}",
            "--Authenticator.allow_all=True",
        ),
    )
    try:
        await hub.start()
        async with asyncio.timeout(300):  # It looks at the last ones in the background.
            while len(await hub.running(ready=True)) < len(names):  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(1)
        yield hub
    finally:
        await hub.end()
        servers.close()
        await servers.wait_closed()


async def until_up(hub: IdleHub) -> None:
    """Wait until the hub runs; raise what it logged where it does not come up."""
    deadline = monotonic() + 300
    while monotonic() < deadline and hub.process is not None and hub.process.returncode is None:
        if log_of(hub).count("JupyterHub is now running") == hub.starts:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"the hub did not come up: {log_of(hub)[-3000:]}")


def log_of(hub: IdleHub) -> str:
    """Return what the hub has logged so far."""
    return (hub.directory / "hub.log").read_text(encoding="utf-8")


def write_database(path: Path, idle: Mapping[str, timedelta], *, server_port: int) -> None:
    """Write what a hub leaves behind whose users' servers run on, idle for so long, into a folder of its own."""
    now, created = utcnow().replace(tzinfo=None), max(idle.values()) + timedelta(days=1)
    path.parent.mkdir()
    session_factory = orm.new_session_factory(f"sqlite:///{path}")
    with session_factory() as session:
        for name, for_so_long in idle.items():
            active = now - for_so_long
            server = orm.Server(
                proto="http", ip="127.0.0.1", port=server_port, base_url=f"/user/{name}/", cookie_name=name
            )
            user = orm.User(name=name, created=now - created, last_activity=active)
            session.add(user)
            session.add(
                orm.Spawner(user=user, name="", state={}, server=server, started=active, last_activity=active)
            )
        session.commit()
    session_factory.kw["bind"].dispose()
