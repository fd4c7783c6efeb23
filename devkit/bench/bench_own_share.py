"""Measures the processor time of this package alone in a start and a stop: no hub, and the mini cluster is a process.

It counts the thread of the event loop, so other programs on the machine hardly change a figure.
"""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Sequence
from time import thread_time

import pytest
from traitlets.config import Config

from devkit.bench.beside.chart import chart_traits
from devkit.bench.beside.inside import as_model
from devkit.bench.beside.load import rush
from devkit.bench.figures import median_of, show
from devkit.testing.runs import Run
from k8s_hub.kube.pool import InformerPool

pytestmark = pytest.mark.bench

SPAWNERS = 200
AT_ONCE = 30


@pytest.fixture
async def kubeconfig(tmp_path, monkeypatch):
    """The mini cluster of another process."""
    command = (sys.executable, "-m", "devkit", "cluster", "--pods=listener", "--fits-all")
    cluster = await asyncio.create_subprocess_exec(
        *command, f"--directory={tmp_path}", stdout=asyncio.subprocess.PIPE
    )
    path = (await cluster.stdout.readline()).decode().strip()
    monkeypatch.setenv("KUBECONFIG", path)
    yield path
    await InformerPool.for_current_loop().close()
    cluster.terminate()
    await cluster.wait()


def chart_config() -> Config:
    """Return the chart's configuration, as the hub has it."""
    config = Config(chart_traits())
    config.KubeSpawner.init_containers = [as_model(each) for each in config.KubeSpawner.init_containers]
    return config


async def bench_own_share(kubeconfig, rounds):
    print(f"\n{SPAWNERS} servers, {AT_ONCE} at a time, with the chart's settings: processor time of each")
    config, took = chart_config(), {"a spawner is made": [], "start": [], "poll and stop": []}
    hub_settings = {}
    for number in range(rounds + 1):  # the first one warms up
        gc.collect()
        runs: dict[str, Run] = {}

        async def make(user: str) -> None:
            run = runs[user] = Run(user, config=config)
            run.spawner.user.settings = hub_settings

        async def start(user: str) -> None:
            await runs[user].start()

        async def stop(user: str) -> None:
            await runs[user].stop()

        users = [f"user-{number}-{each}" for each in range(SPAWNERS)]
        for figures, act in zip(took.values(), (make, start, stop), strict=True):
            figures.append(await cpu_of(users, act))
    for what, (_, *figures) in took.items():
        show(what, median_of(figures, "ms"))


async def cpu_of(users: Sequence[str], act: Callable[[str], Awaitable[None]]) -> float:
    """Return milliseconds of this thread for each user."""

    async def acted(user: str) -> bool:
        await act(user)
        return True

    begun = thread_time()
    await rush(users, acted, at_once=AT_ONCE)
    return 1000 * (thread_time() - begun) / len(users)
