"""A JupyterHub process whose users all have a server that runs and does nothing, as from a database of yesterday.

It is a process as people run it (`python -m jupyterhub`), so that what a culler costs it is not mixed with what
the culler costs itself. There is no node proxy: routes live in a dictionary.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic

import aiohttp
from jupyterhub import orm
from jupyterhub.spawner import Spawner
from traitlets import Float

from k8s_hub.clock import utcnow
from tests.realhub import Answer, free_port

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
    """A time during which the hub served nobody."""

    until: float  # in the machine's monotonic time
    late: float  # seconds
    cpu: float  # seconds of it that the hub itself worked; the rest belongs to other programs
    collecting: float  # of these, what the garbage collector took

    @property
    def own(self) -> float:
        """Seconds that the hub worked for somebody."""
        return self.cpu - self.collecting


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleHub:
    """A running hub, seen from outside."""

    url: str
    directory: Path
    process: asyncio.subprocess.Process

    @property
    def api_url(self) -> str:
        """The value of JUPYTERHUB_API_URL."""
        return f"{self.url}/hub/api"

    async def active_users(self) -> int:
        """Return how many users have a server."""
        headers = {
            "Authorization": f"token {TOKEN}",
            "Accept": "application/jupyterhub-pagination+json",
        }
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{self.api_url}/users?state=active&limit=1") as response,
        ):
            return (await response.json())["_pagination"]["total"]

    def stalls(self, *, since: float, until: float) -> list[Stall]:
        """Return what the probe saw in this time."""
        lines = (self.directory / "stalls.jsonl").read_text(encoding="utf-8").splitlines()
        stalls = [Stall(**json.loads(line)) for line in lines]
        return [stall for stall in stalls if since <= stall.until and stall.until - stall.late <= until]


@asynccontextmanager
async def idle_hub(
    directory: Path, *, users: int, idle: timedelta, **settings: int
) -> AsyncIterator[IdleHub]:
    """Run a hub with so many servers, all active ``idle`` ago; ``settings`` are of the class JupyterHub."""
    servers = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0)
    write_database(
        directory / "hub.sqlite", users=users, idle=idle, server_port=servers.sockets[0].getsockname()[1]
    )
    url = f"http://127.0.0.1:{free_port()}"
    arguments = {
        "hub_bind_url": url,
        "bind_url": f"http://127.0.0.1:{free_port()}",  # never bound
        "db_url": f"sqlite:///{directory / 'hub.sqlite'}",
        "cleanup_servers": False,
        **settings,
    }
    with (directory / "hub.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "jupyterhub", "-f", Path(__file__).with_name("hub_config.py")),
            *(f"--JupyterHub.{name}={value}" for name, value in arguments.items()),
            "--Authenticator.allow_all=True",
            cwd=directory,
            env={**os.environ, "CULLER_TOKEN": TOKEN},
            stdout=log,
            stderr=log,
        )
    try:
        hub = IdleHub(url=url, directory=directory, process=process)
        await until_up(hub, users=users)
        yield hub
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        servers.close()
        await servers.wait_closed()


async def until_up(hub: IdleHub, *, users: int) -> None:
    """Wait until the hub has found every server running; raise what it logged where it does not come up."""
    deadline = monotonic() + 120
    while monotonic() < deadline and hub.process.returncode is None:
        try:
            if await hub.active_users() == users and "JupyterHub is now running" in log_of(hub):
                return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.2)
    raise AssertionError(f"the hub did not come up: {log_of(hub)[-3000:]}")


def log_of(hub: IdleHub) -> str:
    """Return what the hub has logged so far."""
    return (hub.directory / "hub.log").read_text(encoding="utf-8")


def write_database(path: Path, *, users: int, idle: timedelta, server_port: int) -> None:
    """Write what a hub leaves behind whose users' servers run on, into a folder of its own."""
    active = utcnow().replace(tzinfo=None) - idle
    path.parent.mkdir()
    session_factory = orm.new_session_factory(f"sqlite:///{path}")
    with session_factory() as session:
        for number in range(users):
            name = f"user-{number:04}"
            server = orm.Server(
                proto="http", ip="127.0.0.1", port=server_port, base_url=f"/user/{name}/", cookie_name=name
            )
            user = orm.User(name=name, created=active - timedelta(days=1), last_activity=active)
            session.add(user)
            session.add(
                orm.Spawner(user=user, name="", state={}, server=server, started=active, last_activity=active)
            )
        session.commit()
    session_factory.kw["bind"].dispose()
