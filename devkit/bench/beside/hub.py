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
import yaml

from devkit.bench.beside import inside, usage
from devkit.bench.beside.chart import chart_traits
from devkit.bench.beside.cluster import Place
from devkit.bench.beside.plan import ROOT, Database, Subject
from devkit.chart.values import FILES
from devkit.demo.settings import free_port
from devkit.realcluster.controlplane import ControlPlane
from devkit.realcluster.process import Process

USERS_A_REQUEST = 100

HEALTH_PAUSE = 0.05
"""Seconds between two requests for a hub's health."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the probe in the hub's loop has seen since it was asked last; seconds."""

    #: The longest stall of the loop, including time of other programs on a busy machine.
    longest: float
    #: The most processor time between two looks at the clock.
    longest_cpu: float
    returned: dict[str, float]


@dataclass(frozen=True, slots=True)
class Hub:
    """A running hub and a session that may start and stop everybody's server."""

    process: Process
    #: Without "/hub".
    url: str
    session: aiohttp.ClientSession
    probe: Path

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
        reader, writer = await asyncio.open_unix_connection(self.probe)
        told = json.loads(await reader.read())
        writer.close()
        await writer.wait_closed()
        return Reading(**told)


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
    return {
        "spawner": subject.spawner,
        "traits": chart_traits(),
        "url": f"http://127.0.0.1:{free_port()}",
        "database": f"sqlite:///{folder / 'jupyterhub.sqlite'}",
        "more": subject.more,
        "piece": _write_ahead() if subject.database is Database.WRITE_AHEAD else "",
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


def _write_ahead() -> str:
    """Return the piece of the hub's configuration that this package recommends for SQLite."""
    values = yaml.safe_load((FILES / "spawner.yaml").read_text())
    piece: str = values["hub"]["extraConfig"]["40-k8s-hub-sqlite"]
    return piece


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
