"""Compares both cullers on large and unreliable hubs: slow stops among many active users, lost replies, and memory."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

import aiohttp
import pytest

from devkit.bench.bench_culler import LONG_AGO, row
from devkit.bench.beside.usage import highest_resident, memory
from devkit.bench.culling.cullers import OURS, PEER, Culler, last_answer, started, tail_of, until
from devkit.bench.culling.gateway import Gateway, gateway
from devkit.bench.culling.idle_hub import IdleHub, idle_hub
from devkit.bench.culling.many_users import many_users
from devkit.bench.figures import Spread
from devkit.demo.settings import free_port

PROBE_SECONDS = 0.1


@dataclass(slots=True)
class Prober:
    """Measures GET /hub/api/: milliseconds by time of the request."""

    taken: list[tuple[float, float]] = field(default_factory=list)

    def spread(self, *, since: float, until: float) -> Spread:
        """Return how long it took in this part of the machine's monotonic time."""
        return Spread.of([taken for asked, taken in self.taken if since <= asked <= until])


@asynccontextmanager
async def probed(api_url: str) -> AsyncIterator[Prober]:
    """Ask until left; a question is not held up by the answer to the one before."""
    prober = Prober()

    async def ask(session: aiohttp.ClientSession) -> None:
        asked = monotonic()
        async with session.get(f"{api_url}/") as response:
            await response.read()
        prober.taken.append((asked, 1000 * (monotonic() - asked)))

    async def keep_asking() -> None:
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as questions:
            while True:
                questions.create_task(ask(session))
                await asyncio.sleep(PROBE_SECONDS)

    asking = asyncio.create_task(keep_asking())
    try:
        yield prober
    finally:
        asking.cancel()
        await asyncio.wait([asking])


pytestmark = pytest.mark.bench

STOP_SECONDS = 10
CONCURRENCY = 50
QUIET_SECONDS = 60
"""Two rounds of the hub's own polls of its servers."""

SAMPLE_SECONDS = 60


def stops_answered(gate: Gateway) -> int:
    """Return the number of answered stops."""
    return sum(request.method == "DELETE" and 200 <= request.status < 300 for request in gate.requests)


# --- Slow stops among many active users ---


async def bench_culler_at_scale_stops_slowly(tmp_path, scale):
    idle, active = round(1000 * scale), round(5000 * scale)
    print(
        f"\n{active} active users, {idle} idle ones, a stop takes {STOP_SECONDS} s, concurrency {CONCURRENCY}"
    )
    print(f"  load of the machine before: {os.getloadavg()[0]:.1f}")
    async with (
        idle_hub(
            tmp_path / "hub", users=idle, idle=LONG_AGO, others=active, stop_seconds=STOP_SECONDS
        ) as hub,
        probed(hub.api_url) as prober,
    ):
        begun = monotonic()
        await asyncio.sleep(QUIET_SECONDS)
        quiet = prober.spread(since=begun, until=monotonic())
        peer = await stops_in_a_sample(hub)
        async with gateway(hub.url) as gate:
            begun = monotonic()
            told, ended = await first_sweep(gate, hub.directory)
        busy = prober.spread(since=begun, until=ended)
        left = await hub.running()
    row("", PEER.name, OURS.name, "aim")
    row(
        "until the last stop was answered (peer: by its sample)",
        f"{idle * SAMPLE_SECONDS / max(peer, 1) / 3600:.1f} h",
        f"{ended - begun:.0f} s",
        "<= 300 s",
        met=ended - begun <= 300,
    )
    row(f"stops begun in the first {SAMPLE_SECONDS} s of a sweep", peer, told)
    row("idle servers left", ours=len(left & hub.idle), aim="0", met=not left & hub.idle)
    row(
        "active servers stopped",
        ours=active - len(left - hub.idle),
        aim="0",
        met=len(left - hub.idle) == active,
    )
    print(f"  GET /hub/api/, nobody culls   {quiet}")
    print(f"  GET /hub/api/, in our sweep   {busy}")
    more = busy.p95 - quiet.p95
    row("95th percentile: more than quiet by", ours=f"{more:.1f} ms", aim="<= 50 ms", met=more <= 50)


async def stops_in_a_sample(hub: IdleHub) -> int:
    """Return how many stops idle-culler begins in a minute from its first on; they are few, and stay done."""
    log = hub.directory / "peer.log"
    async with (
        gateway(hub.url) as gate,
        started(PEER.with_flags(f"--concurrency={CONCURRENCY}"), gate, log) as process,
    ):
        await until(lambda: any(request.method == "DELETE" for request in gate.requests), process, log)
        await asyncio.sleep(SAMPLE_SECONDS)
        return sum(request.method == "DELETE" for request in gate.requests)


async def first_sweep(gate: Gateway, directory: Path) -> tuple[int, float]:
    """Have our culler sweep; return the stops begun in the sample's time, and when the last was answered."""
    log = directory / "ours.log"
    culler = OURS.with_flags(f"--concurrency={CONCURRENCY}")
    async with started(culler, gate, log) as process:
        await until(lambda: OURS.look_is_over in log.read_text(encoding="utf-8"), process, log)
        gate.requests.clear()
        await until(lambda: OURS.sweep_is_over in log.read_text(encoding="utf-8"), process, log)
    print("  " + tail_of(log).strip().splitlines()[-1])
    stops = [request for request in gate.requests if request.method == "DELETE" and request.is_over]
    first = min(request.begun for request in stops)
    return sum(request.begun <= first + SAMPLE_SECONDS for request in stops), last_answer(stops)


# --- Trouble ---


async def bench_culler_at_scale_in_trouble(tmp_path):
    """10 % of replies are 503, 2 % are lost with their connection, and the hub is killed halfway."""
    idle, active = 100, 300
    print(
        f"\n{active} active users, {idle} idle ones, a stop takes 1 s; 10 % 503, 2 % resets, the hub restarts"
    )
    print(f"  load of the machine before: {os.getloadavg()[0]:.1f}")
    row("", PEER.name, OURS.name, "aim")
    peer, ours = [
        await after_trouble(culler, tmp_path / f"hub of {culler.name}", idle=idle, active=active)
        for culler in (PEER, OURS)
    ]
    for number in range(2):
        row(
            f"idle servers left after sweep {number + 1}",
            peer[0][number],
            ours[0][number],
            "0" if number else "",
        )
    row("idle servers left in the end", peer[0][-1], ours[0][-1], "0", met=ours[0][-1] == 0)
    row("active servers stopped", peer[1], ours[1], "0", met=ours[1] == 0)
    row("requests, 503, lost", peer[2], ours[2])


async def after_trouble(
    culler: Culler, directory: Path, *, idle: int, active: int
) -> tuple[list[int], int, str]:
    """Return the idle servers left after each of two sweeps, the active ones stopped, and the trouble there was."""
    chance = random.Random(6)
    fates = [chance.random() for _ in range(100_000)]
    async with (
        idle_hub(directory, users=idle, idle=LONG_AGO, others=active) as hub,
        gateway(
            hub.url,
            refuses=lambda number: fates[number] < 0.10,
            resets=lambda number: 0.10 <= fates[number] < 0.12,
        ) as gate,
    ):
        log, left = directory / "culler.log", []
        patient = culler.with_flags("--cull-every=30")
        async with started(patient, gate, log) as process:
            await until(lambda: stops_answered(gate) >= idle // 2, process, log)
            await hub.restart()
            for number in (1, 2):
                await until(lambda number=number: has_swept(culler, gate, log, number), process, log)
                left.append(len(await hub.running() & hub.idle))
        running = await hub.running()
        statuses = [request.status for request in gate.requests if request.is_over]
        trouble = f"{len(statuses)}, {statuses.count(503)}, {statuses.count(0)}"
        return left, active - len(running - hub.idle), trouble


def has_swept(culler: Culler, gate: Gateway, log: Path, number: int) -> bool:
    """Return whether so many sweeps are over; one that tells no end is over when it falls silent."""
    if culler.sweep_is_over:
        return log.read_text(encoding="utf-8").count(culler.sweep_is_over) >= number
    return gate.is_silent()


# --- Memory ---


PAGE = {
    "JUPYTERHUB_SERVICE_NAME": "culler",
    "JUPYTERHUB_SERVICE_PREFIX": "/services/culler/",
    "JUPYTERHUB_BASE_URL": "/",
    "JUPYTERHUB_CLIENT_ID": "service-culler",
    "JUPYTERHUB_OAUTH_CALLBACK_URL": "/services/culler/oauth_callback",
}


async def bench_culler_at_scale_memory(tmp_path, scale):
    number = round(10_000 * scale)
    print(
        f"\nmemory with {number} active users after three sweeps: resident, of it private, highest resident"
    )
    for name, culler, page, most in (
        (PEER.name, PEER.with_flags("--cull-every=2"), False, None),
        (OURS.name, OURS.with_flags("--cull-every=2"), False, 70),
        (f"{OURS.name} with metrics", OURS.with_flags("--cull-every=2", "--metrics-port={port}"), False, 70),
        (f"{OURS.name} with its page", OURS.with_flags("--cull-every=2"), True, 120),
    ):
        resident, private, highest = await memory_of(culler, tmp_path / f"{name}.log", number, page=page)
        print(
            f"  {name:<26} {resident:6.1f} MB {private:6.1f} MB {highest:6.1f} MB"
            + (f"   < {most} MB   {'reached' if highest < most else 'NOT REACHED'}" if most else "")
        )


async def memory_of(culler: Culler, log: Path, number: int, *, page: bool) -> tuple[float, float, float]:
    """Return megabytes: resident, private, and the highest that was resident."""
    command = tuple(part.replace("{port}", str(free_port())) for part in culler.command)
    environment = PAGE | {"JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{free_port()}/"} if page else {}
    async with (
        many_users(number) as hub,
        started(replace(culler, command=command), hub, log, **environment) as process,
    ):
        await until(lambda: hub.lists_read >= 3, process, log)
        await asyncio.sleep(1.5)
        used = memory(process.pid)
        return used.resident, used.private, highest_resident(process.pid)
