"""One compared hub: its process, its REST API, and its probe."""

import asyncio
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.request import urlopen

import aiohttp

from devkit.bench.beside import inside, usage
from devkit.bench.beside.chart import chart_traits
from devkit.bench.beside.cluster import Place
from devkit.bench.beside.plan import ROOT, Database, Subject
from devkit.chart.values import FILES, load
from devkit.demo.settings import free_port
from devkit.realcluster.controlplane import ControlPlane
from devkit.realcluster.process import Process

USERS_A_REQUEST = 100

HEALTH_PAUSE = 0.05
"""Seconds between two requests for a hub's health."""
BOOT_SECONDS = 900
"""A hub answers nothing while it looks at ten thousand servers after its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the probe in the hub's loop has seen since it was asked last; seconds."""

    #: The longest stall of the loop, including time of other programs on a busy machine.
    longest: float
    #: The most processor time between two looks at the clock.
    longest_cpu: float
    returned: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """How many servers a hub has."""

    ready: int
    #: They start or stop, or wait for the hub's check after its own start.
    pending: int


@dataclass(frozen=True, slots=True)
class Hub:
    """A running hub and a session that may start and stop everybody's server."""

    process: Process
    #: Without "/hub".
    url: str
    session: aiohttp.ClientSession
    probe: Path

    async def restart(self) -> float:
        """End the process like a crash, and start it again; return the seconds until its REST API answers."""
        self.process.kill()
        begin = monotonic()
        await asyncio.to_thread(self.process.start)
        async with self.session.get("") as reply:
            reply.raise_for_status()
        return monotonic() - begin

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return usage.cpu_seconds(self.process.pid)

    @property
    def memory(self) -> usage.Memory:
        return usage.memory(self.process.pid)

    async def add_users(self, names: Iterable[str]) -> None:
        waiting = list(names)
        while waiting:
            some, waiting = waiting[:USERS_A_REQUEST], waiting[USERS_A_REQUEST:]
            async with self.session.post("users", json={"usernames": some}) as reply:
                reply.raise_for_status()

    async def start(self, user: str) -> bool:
        """Return when the server is ready, or its start has failed."""
        async with self.session.post(f"users/{user}/server") as reply:
            return reply.status == 201

    async def stop(self, user: str) -> bool:
        """Return when the server is gone, or its end has failed."""
        async with self.session.delete(f"users/{user}/server") as reply:
            return reply.status == 204

    @asynccontextmanager
    async def health_watched(self) -> AsyncIterator[list[float]]:
        """Ask for the hub's health while inside; give the seconds of each answer, complete once outside.

        No question waits for the answer to the one before: a hub that stalls for two seconds is late for each question
        of these.
        """
        taken: list[float] = []

        async def ask(session: aiohttp.ClientSession) -> None:
            begin = monotonic()
            async with session.get(f"{self.url}/hub/health") as reply:
                await reply.read()
            taken.append(monotonic() - begin)

        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
            asyncio.TaskGroup() as questions,
        ):

            async def keep_asking() -> None:
                while True:
                    questions.create_task(ask(session))
                    await asyncio.sleep(HEALTH_PAUSE)

            asking = questions.create_task(keep_asking())
            try:
                yield taken
            finally:
                asking.cancel()

    async def read_probe(self) -> Reading:
        """Return what was seen since the last time."""
        return Reading(**await self._ask_probe(inside.STALLS))

    async def count_servers(self) -> Servers:
        return Servers(**await self._ask_probe(inside.SERVERS))

    async def wait_checked(self) -> None:
        """Return when the hub has checked all servers that it found in its database."""
        while True:
            if not (await self.count_servers()).pending:
                return
            await asyncio.sleep(0.5)

    async def _ask_probe(self, question: bytes) -> Any:
        reader, writer = await asyncio.open_unix_connection(self.probe)
        writer.write(question)
        writer.write_eof()
        told = json.loads(await reader.read())
        writer.close()
        await writer.wait_closed()
        return told


@asynccontextmanager
async def running_hub(
    subject: Subject,
    plane: ControlPlane,
    place: Place,
    *,
    port: int,
    log: Path,
    disk: Path | None,
    environment: Mapping[str, str],
) -> AsyncIterator[Hub]:
    """A hub with the subject's spawner and the chart's values; users' servers listen at ``port``.

    disk: where a database in a file is; None is the folder for temporary files.
    """
    where = _in_memory() if subject.database is Database.MEMORY else disk
    with tempfile.TemporaryDirectory(prefix="k8s-hub-bench-", dir=where) as name:
        folder = Path(name)
        settings = _settings(subject, plane, place, port, folder)
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "token").write_text(place.token)
        (folder / "ca.crt").write_text(plane.ca_certificate.read_text())
        python = ROOT / subject.environment / "bin" / "python"
        variables = {**environment, inside.SETTINGS: str(folder / "settings.json")}
        process = Process(
            name=f"hub ({subject.name})",
            command=[
                *("/usr/bin/env", *(f"{name}={value}" for name, value in variables.items())),
                *(python, "-m", "jupyterhub", "-f", Path(__file__).with_name("hub_config.py")),
            ],
            log=log,
            is_ready=lambda: is_healthy(settings["url"]),
            start_seconds=BOOT_SECONDS,
        )
        process.start()
        try:
            async with aiohttp.ClientSession(
                f"{settings['url']}/hub/api/",
                headers={"Authorization": f"token {settings['token']}"},
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None),
            ) as session:
                yield Hub(process, settings["url"], session, Path(settings["probe"]))
        finally:
            process.kill()


def _settings(subject: Subject, plane: ControlPlane, place: Place, port: int, folder: Path) -> dict[str, Any]:
    values = load(FILES / f"{subject.values}.yaml") if subject.values else {}
    return {
        "spawner": subject.spawner,
        "traits": chart_traits(),
        "url": f"http://127.0.0.1:{free_port()}",
        "database": f"sqlite:///{folder / 'jupyterhub.sqlite'}",
        "more": [traits_in(values), subject.more],
        "pieces": pieces_in(values or _spawner_values(subject)),
        "token": secrets.token_hex(16),
        "namespace": place.namespace,
        "port": port,
        "probe": str(folder / "probe"),
        "account": str(folder),
        "environment": {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(plane.layout.ports.apiserver),
        },
    }


def traits_in(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the traits that values of the chart set, by class."""
    hub, servers = values.get("hub", {}), values.get("singleuser", {})
    traits = {section: dict(some) for section, some in hub.get("config", {}).items()}
    if "concurrentSpawnLimit" in hub:
        traits.setdefault("JupyterHub", {})["concurrent_spawn_limit"] = hub["concurrentSpawnLimit"]
    if "extraEnv" in servers:
        traits.setdefault("KubeSpawner", {})["environment"] = servers["extraEnv"]
    return traits


def pieces_in(values: Mapping[str, Any]) -> list[str]:
    """Return the code that values of the chart add to the hub's configuration."""
    return [code for _, code in sorted(values.get("hub", {}).get("extraConfig", {}).items())]


def _spawner_values(subject: Subject) -> dict[str, Any]:
    """Return the values that give SQLite a write-ahead log, for a subject that has one."""
    return load(FILES / "spawner.yaml") if subject.database is Database.WRITE_AHEAD else {}


def _in_memory() -> Path | None:
    """Return where a hub's database costs no waiting for a disk; None where there is no such folder."""
    return Path("/dev/shm") if Path("/dev/shm").is_dir() else None


def is_healthy(url: str) -> bool:
    """Return whether a hub or a users' server answers there."""
    try:
        with urlopen(f"{url}/hub/health", timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False
