"""Fixtures: a hub with KubeSpawner on a mini cluster, all in the test's event loop and with its clock.

``pytest -p devkit.testing.fixtures`` provides them to tests outside this checkout too.
"""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devkit.testing.realhub import RealHub
from devkit.testing.runs import HOME, NAMESPACE, CallRecorder, listening_cluster
from k8s_hub import KubeSpawner


class LoopDate(datetime):
    """The wall clock in the loop's time: where a wait of minutes is virtual, a diagnosis sees minutes pass.

    It begins when all users of the hub's database, which goes by the real clock, are known for long.
    """

    @classmethod
    def now(cls, tz=None):
        return datetime(2100, 1, 1, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("k8s_hub.clock.datetime", LoopDate)


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wall_clock):
    """A mini cluster whose pods are listeners; the kubeconfig of the environment leads to it."""
    async with listening_cluster(tmp_path, monkeypatch) as cluster:
        yield cluster


@pytest.fixture
def witness(cluster):
    """A record of the calls to the API server, without those that an earlier fault rule matched."""
    return cluster.faults.add(CallRecorder())


@pytest.fixture
def hub(cluster):
    """A function that opens a hub with these options of KubeSpawner."""

    @asynccontextmanager
    async def open_hub(*, spawner_class=KubeSpawner, users=("ada", "bob"), hub=None, **options):
        config = {"KubeSpawner": {"namespace": NAMESPACE, **HOME, **options}, "JupyterHub": hub or {}}
        async with RealHub(spawner_class=spawner_class, config=config, users=users) as opened:
            yield opened

    return open_hub
