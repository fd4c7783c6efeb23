"""Measures the processor time of this package alone in a start and a stop: no hub, and the mini cluster is a process.

It counts the thread of the event loop. On a shared machine that time varies by a third, so it is printed in units of a
fixed piece of work, too, which is done right before and after: compare these with those of another version.
"""

import asyncio
import gc
import sys
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


class Servers:
    """The servers of one round."""

    def __init__(self, config: Config, hub_settings: dict[str, object]) -> None:
        self._config, self._hub_settings = config, hub_settings
        self._runs: dict[str, Run] = {}

    async def make(self, user: str) -> bool:
        run = self._runs[user] = Run(user, config=self._config)
        run.spawner.user.settings = self._hub_settings
        return True

    async def start(self, user: str) -> bool:
        await self._runs[user].start()
        return True

    async def stop(self, user: str) -> bool:
        await self._runs[user].stop()
        return True


async def bench_own_share(kubeconfig, rounds):
    print(f"\n{SPAWNERS} servers, {AT_ONCE} at a time, with the chart's settings: processor time of each")
    config, hub_settings = chart_config(), {}
    took = {"a spawner is made": [], "start": [], "poll and stop": []}
    units = {what: [] for what in took}
    for number in range(rounds + 1):  # the first one warms up
        gc.collect()
        servers = Servers(config, hub_settings)
        users = [f"user-{number}-{each}" for each in range(SPAWNERS)]
        for what, act in zip(took, (servers.make, servers.start, servers.stop), strict=True):
            before, begun = fixed_work(), thread_time()
            done = await rush(users, act, at_once=AT_ONCE)
            spent = 1000 * (thread_time() - begun) / len(users)
            took[what].append(spent)
            units[what].append(2 * spent / (before + fixed_work()))
            assert done.failures == 0
    for what in took:
        show(what, median_of(took[what][1:], "ms"))
        show("  in units of the fixed work", median_of(units[what][1:], ""))


def fixed_work() -> float:
    """Return milliseconds of this thread for what Python does much of: make, read and sort dictionaries."""
    begun = thread_time()
    for _ in range(12):
        made = {str(number): {"a": str(number)} for number in range(1500)}
        sorted(name for name, each in made.items() if each["a"] == name)
    return 1000 * (thread_time() - begun)
