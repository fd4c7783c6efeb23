"""Measures one user's server on the real API server: how soon the hub knows of its end, and what a hundred runs leave behind."""

import asyncio
import sys
from pathlib import Path
from time import perf_counter

import pytest

from devkit.bench.beside.usage import memory
from devkit.bench.figures import Spread, show
from devkit.chaos.world import Subject, World, open_world
from devkit.realcluster.build import build
from k8s_hub.objects.raw import Raw

pytestmark = pytest.mark.bench

ENDS = 50
RUNS = (20, 100)
"""Starts and stops after which the hub's memory is measured."""
NEXT_LOOK = 0.02


@pytest.fixture
async def world(tmp_path):
    """A hub as a process, with one user."""
    await asyncio.to_thread(build)
    async with open_world(Subject(hub=5 if ".venv-hub5" in sys.prefix else 6), tmp_path) as world:
        await world.hub.api("POST", "/users/ada")
        yield world


async def server(world: World) -> Raw:
    """Return what the hub says of the user's server; empty if it is stopped."""
    return (await world.hub.api("GET", "/users/ada")).body["servers"].get("", {})


async def until(world: World, *, ready: bool) -> float:
    """Wait until the server is ready, or stopped and nothing pending; return when."""
    while True:
        shown = await server(world)
        if bool(shown.get("ready")) == ready and not shown.get("pending"):
            return perf_counter()
        await asyncio.sleep(NEXT_LOOK)


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def start(world: World) -> None:
    await world.hub.api("POST", "/users/ada/server")
    await until(world, ready=True)


async def stop(world: World) -> None:
    await world.hub.api("DELETE", "/users/ada/server")
    await until(world, ready=False)


async def bench_news_of_an_end(world):
    """From the deletion of the pod, asked for by somebody else, to a hub that does not show the server as ready."""
    print(f"\n{ENDS} servers whose pods are deleted, from the request to the hub's REST API")
    took = []
    for _ in range(ENDS):
        await start(world)
        [pod] = await world.objects("pods")
        begin = perf_counter()
        reply = await world.admin.delete(
            f"/api/v1/namespaces/{world.namespace}/pods/{pod['metadata']['name']}",
            json={"gracePeriodSeconds": 0},
        )
        assert reply.status == 200
        took.append(1000 * (await until(world, ready=False) - begin))
    show("news of an end", Spread.of(took))


async def bench_a_hundred_starts_and_stops(world):
    """What they leave in the hub's memory, and how many files are open."""
    print("\nstarts and stops of one server, and the hub's resident memory after them")
    pid, done = world.hub.process.pid, 0
    for runs in RUNS:
        for _ in range(runs - done):
            await start(world)
            await stop(world)
        done = runs
        show(f"after {runs}", f"{memory(pid).resident:.1f} MB, {open_files(pid)} open files")
