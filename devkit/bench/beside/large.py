"""One hub with many servers: all start, nothing happens, the API server forgets its past, the hub is killed."""

import asyncio
import contextlib
from collections.abc import Callable
from time import monotonic

import aiohttp

from devkit.bench.beside import cluster
from devkit.bench.beside.hub import Hub
from devkit.bench.beside.load import rush
from devkit.bench.beside.measures import SETTLING, Field, Figures, names, of_rush, quiet, stalls
from devkit.bench.beside.metrics import Seen
from devkit.bench.beside.plan import Subject
from devkit.realcluster.controlplane import ControlPlane

LOOK_EVERY = 0.5  # seconds


async def measure_large(here: Field, subject: Subject) -> Figures:
    """Start all servers and leave them alone; then the API server forgets its past, and the hub is killed."""
    users, figures = names("user", here.plan.large_users), {}
    async with here.place() as place, here.hub(subject, "large", place, figures) as hub:
        await hub.add_users(users)
        await hub.start(users[0])  # opens the watches
        empty = hub.memory.resident
        figures |= await _start(here, hub, users[1:])
        pods = await cluster.count_pods(here.plane, place.namespace)
        await asyncio.sleep(SETTLING)
        resident = hub.memory.resident
        figures |= {
            "large.empty": empty,
            "large.resident": resident,
            "large.kilobytes": 1000 * (resident - empty) / len(users),
        }
        figures |= await quiet(here, hub, "large.quiet")
        figures["large.quiet.each"] = 1e4 * figures["large.quiet.cpu"] / len(users)
        figures |= await _forget_the_past(here.plane, hub)
        figures |= await _restart(hub)
        lost_pods = pods - await cluster.count_pods(here.plane, place.namespace)
        figures["large.lost"] = max(lost_pods, len(users) - (await hub.count_servers()).ready)
    return figures


async def _start(here: Field, hub: Hub, users: list[str]) -> Figures:
    await hub.read_probe()
    cpu = hub.cpu
    started = await rush(users, hub.start, at_once=here.plan.at_once)
    figures = {"large.start.cpu": 1000 * (hub.cpu - cpu) / len(users)}
    return figures | of_rush("large.start", started) | stalls("large.start", await hub.read_probe())


async def _forget_the_past(plane: ControlPlane, hub: Hub) -> Figures:
    """Restart the API server so that it answers 410; wait until the hub watches again what it watched before."""
    for number in range(3):  # the cluster goes on, so that what the hub knows is of the past
        secret = {"metadata": {"name": f"unseen-{hub.process.pid}-{number}"}}
        await asyncio.to_thread(plane.admin.create, "/api/v1/namespaces/default/secrets", secret)
    async with cluster.session(plane) as admin:
        before = Seen.of(await (await admin.get("/metrics")).text())
        await hub.read_probe()
        cpu, restart = hub.cpu, asyncio.create_task(asyncio.to_thread(plane.forget_history))
        answered = await _moment(admin, lambda seen: seen.started != before.started)
        fresh = await _moment(admin, lambda seen: seen.watches >= before.watches)
        await restart
    await asyncio.sleep(SETTLING)
    figures = {"large.relist.cpu": hub.cpu - cpu} | stalls("large.relist", await hub.read_probe())
    return figures | ({"large.relist.fresh": fresh - answered} if before.watches else {})


async def _moment(admin: aiohttp.ClientSession, is_reached: Callable[[Seen], bool]) -> float:
    """Return when the API server, which may be away for a while, first shows what is waited for."""
    while True:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with admin.get("/metrics") as reply:
                if reply.status == 200 and is_reached(Seen.of(await reply.text())):
                    return monotonic()
        await asyncio.sleep(LOOK_EVERY)


async def _restart(hub: Hub) -> Figures:
    """Kill the hub and start it again; wait until it has checked all its servers."""
    begin = monotonic()
    answered = await hub.restart()
    await hub.wait_checked()
    known = monotonic() - begin
    await asyncio.sleep(SETTLING)
    return {
        "large.restart.answer": answered,
        "large.restart.known": known,
        "large.restart.resident": hub.memory.resident,
    } | stalls("large.restart", await hub.read_probe())
