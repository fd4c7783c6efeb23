"""The measurements: each creates a situation and returns its figures by name.

Names are `situation.figure`; times are in the unit that `table` prints. A list is a curve for `plots`: the seconds at
which servers became ready.
"""

import asyncio
import json
import re
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from devkit.bench.beside import cluster
from devkit.bench.beside.arrival import arrive
from devkit.bench.beside.cluster import Place
from devkit.bench.beside.hub import Hub, Reading, running_hub
from devkit.bench.beside.load import Rush, rush
from devkit.bench.beside.metrics import read_requests, since
from devkit.bench.beside.plan import OURS, Plan, Subject
from devkit.bench.figures import Spread
from devkit.realcluster.controlplane import ControlPlane

Figures = dict[str, float | list[float]]

SETTLING = 10
"""Seconds after a burst in which cluster and hub come to rest."""

SLOW_AT_ONCE = 10
"""So few that the hub is idle for most of the time: what is measured is how it hears that a pod runs."""

SLOW_CALLBACK = re.compile(r"Slow callback: \d+ ms, (\d+) of them processor time")


@dataclass(slots=True, kw_only=True)
class Field:
    """Where everything is measured; owner of the crowd."""

    plan: Plan
    plane: ControlPlane
    #: Where the users' servers listen, at any address.
    port: int
    logs: Path
    _crowd: Place | None = None

    async def crowd(self) -> Place:
        """Return the namespace in which many pods run, made when it is asked for first."""
        if self._crowd is None:
            place = cluster.make_place(self.plane)
            await cluster.fill(self.plane, place.namespace, self.plan.crowd, self.port)
            self._crowd = place
        return self._crowd

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """A namespace for one measurement, whose pods are gone afterwards."""
        place = cluster.make_place(self.plane)
        try:
            yield place
        finally:
            await cluster.empty(self.plane, place.namespace)

    @asynccontextmanager
    async def hub(self, subject: Subject, part: str, place: Place, figures: Figures) -> AsyncIterator[Hub]:
        """A hub of the subject's; at the end its slow callbacks are among the figures, if they are counted."""
        log = self.logs / f"hub-{subject.name.replace(' ', '-')}-{part}-{place.namespace}.log"
        limit = self.plan.slow_callbacks
        watched = {"K8S_HUB_SLOW_CALLBACKS": str(limit)} if limit and subject.spawner == OURS.spawner else {}
        async with running_hub(
            subject,
            self.plane,
            place,
            port=self.port,
            log=log,
            disk=self.plan.disk,
            environment=watched,
        ) as hub:
            yield hub
        if watched:
            took = [int(milliseconds) for milliseconds in SLOW_CALLBACK.findall(log.read_text())]
            slow = [milliseconds for milliseconds in took if milliseconds >= limit]
            figures |= {f"{part}.callbacks": len(slow), f"{part}.longest_callback": max(took, default=0)}


async def measure_burst(here: Field, subject: Subject, count: int) -> Figures:
    """Few start at a time, many at once, nothing happens, all are stopped."""
    plan, users, figures = here.plan, names("user", count), {}
    async with here.place() as place, here.hub(subject, "burst", place, figures) as hub:
        figures |= await _few(hub, plan.few)
        await hub.add_users(users)
        await hub.read_probe()
        before, cpu = hub.memory, hub.cpu
        async with hub.health_watched() as health:
            started = await rush(users, hub.start, at_once=plan.at_once)
            figures |= {"burst.cpu": 1000 * (hub.cpu - cpu) / count}
        figures |= _of_burst(started) | stalls("burst", await hub.read_probe()) | _health("burst", health)
        figures |= {"burst.unschedulable": await cluster.unschedulable(here.plane, place.namespace)}
        await asyncio.sleep(SETTLING)
        figures |= {
            "memory.resident": hub.memory.resident,
            "memory.proportional": hub.memory.proportional,
            "memory.before": before.resident,
        }
        figures |= await quiet(here, hub, "quiet")
        cpu = hub.cpu
        stopped = await rush(users, hub.stop, at_once=plan.at_once)
        figures |= {"stop.cpu": 1000 * (hub.cpu - cpu) / count} | of_rush("stop", stopped)
    return figures


async def measure_script(here: Field, _subject: Subject, count: int) -> Figures:
    """What `measure_burst` does, without a hub."""
    few, users = names("few", here.plan.few), names("user", count)
    async with here.place() as place:
        rushes = await _run_script(here, place, few=few, started=users, stopped=users)
    return of_rush("few", rushes["few"]) | _of_burst(rushes["started"]) | of_rush("stop", rushes["stopped"])


async def measure_together(here: Field, subject: Subject, count: int) -> Figures:
    """Many start at once in a hub without pods, while a script makes as many pods."""
    users, figures = names("user", count), {}
    async with (
        here.place() as beside,
        here.place() as place,
        here.hub(subject, "together", place, figures) as hub,
    ):
        await hub.add_users(users)
        await hub.read_probe()
        cpu = hub.cpu
        async with hub.health_watched() as health:
            started, scripted = await asyncio.gather(
                rush(users, hub.start, at_once=here.plan.at_once),
                _run_script(here, beside, few=[], started=users, stopped=[]),
            )
            figures |= {"burst.cpu": 1000 * (hub.cpu - cpu) / count}
        figures |= _of_burst(started) | stalls("burst", await hub.read_probe()) | _health("burst", health)
    return figures | {"burst.wall": max(started.wall, scripted["started"].wall)}


async def _run_script(
    here: Field, place: Place, *, few: list[str], started: list[str], stopped: list[str]
) -> dict[str, Rush]:
    """Have the bare script do its work."""
    claim, pod = await cluster.objects(place.namespace, here.port)
    task = {
        "url": here.plane.url,
        "ca_certificate": str(here.plane.ca_certificate),
        **asdict(place),
        "claim": claim,
        "pod": pod,
        "users": {"few": few, "started": started, "stopped": stopped},
        "at_once": here.plan.at_once,
    }
    command = (sys.executable, "-m", "devkit.bench.beside.bare")
    script = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        told, _ = await script.communicate(json.dumps(task).encode())
    except asyncio.CancelledError:
        script.kill()
        raise
    return {name: Rush(**made) for name, made in json.loads(told).items()}


async def measure_slow(here: Field, subject: Subject) -> Figures:
    """Measure the time from a running pod to the return of start(), with pods that take 3 to 8 seconds."""
    users, figures = names("slow", here.plan.slow_users), {}
    async with here.place() as place, here.hub(subject, "slow", place, figures) as hub:
        await hub.add_users(users)
        with cluster.slow_pods(here.plane):
            async with cluster.observed(here.plane, place.namespace) as ready:
                started = await rush(users, hub.start, at_once=SLOW_AT_ONCE)
            returned = (await hub.read_probe()).returned
    spread = Spread.of([1000 * (returned[user] - ready[user]) for user in users if user in returned])
    return figures | {
        "slow.p50": spread.p50,
        "slow.p95": spread.p95,
        "slow.longest": spread.longest,
        "slow.failures": started.failures,
    }


async def measure_class(here: Field, subject: Subject) -> Figures:
    """Have a class arrive, while somebody asks for the hub's health."""
    plan, users, figures = here.plan, names("pupil", here.plan.class_users), {}
    async with here.place() as place, here.hub(subject, "class", place, figures) as hub:
        await hub.add_users(users)
        await hub.start(users.pop())
        cpu = hub.cpu
        async with hub.health_watched() as health:
            seen = await arrive(hub, users, seconds=plan.class_seconds)
            figures |= {"class.cpu": 1000 * (hub.cpu - cpu) / len(users)}
    if len(seen.told) > 1:  # a user whose server is ready at once reads no message of the spawner
        figures |= {"class.told": Spread.of(seen.told).p95}
    figures |= {
        "class.wall": seen.wall,
        "class.refused": seen.statuses[429],
        "class.failures": seen.failures,
        "class.ready.p50": Spread.of(seen.ready).p50,
        "class.ready.p95": Spread.of(seen.ready).p95,
    }
    return figures | _health("class", health)


async def measure_crowd(here: Field, subject: Subject) -> Figures:
    """The first start of a hub has to read of all the pods that run already; none of them is this hub's."""
    place = await here.crowd()
    figures = {"crowd.megabytes": await cluster.size_of_list(here.plane, place.namespace) / 1e6}
    async with here.hub(subject, "crowd", place, figures) as hub:
        user = f"first-{subject.name.replace(' ', '-')}"
        await hub.add_users([user])
        await asyncio.sleep(SETTLING)
        await hub.read_probe()
        await hub.start(user)
        await asyncio.sleep(SETTLING)
        figures |= {"crowd.resident": hub.memory.resident}
        figures |= stalls("crowd.start", await hub.read_probe())
        figures |= await quiet(here, hub, "crowd.quiet")
    return figures


async def _few(hub: Hub, count: int) -> Figures:
    """Start some users three at a time, after one who connects and fills the views."""
    users = names("few", count + 1)
    await hub.add_users(users)
    await hub.start(users.pop())
    started = await rush(users, hub.start, at_once=3)
    await rush([*users, f"few-{count}"], hub.stop, at_once=10)
    return of_rush("few", started)


async def quiet(here: Field, hub: Hub, name: str) -> Figures:
    """Leave the hub alone."""
    seconds = here.plan.quiet_seconds
    await hub.read_probe()
    asked, cpu = read_requests(here.plane), hub.cpu
    await asyncio.sleep(seconds)
    share = 100 * (hub.cpu - cpu) / seconds
    probe, requests = await hub.read_probe(), since(asked, read_requests(here.plane))
    lists = {f"{name}.lists": float(requests.get("LIST", 0))}
    verbs = {f"{name}.requests.{verb}": float(count) for verb, count in requests.items()}
    return {f"{name}.cpu": share} | stalls(name, probe) | lists | verbs


def of_rush(name: str, made: Rush) -> Figures:
    spread = made.spread
    return {
        f"{name}.wall": made.wall,
        f"{name}.p50": spread.p50,
        f"{name}.p95": spread.p95,
        f"{name}.failures": made.failures,
    }


def _of_burst(made: Rush) -> Figures:
    return {**of_rush("burst", made), "burst.ready": list(made.ends)}


def _health(name: str, taken: list[float]) -> Figures:
    cuts = statistics.quantiles(taken, n=100, method="inclusive")
    return {
        f"{name}.health.p50": 1000 * cuts[49],
        f"{name}.health.p99": 1000 * cuts[98],
        f"{name}.health.longest": 1000 * max(taken),
    }


def stalls(name: str, probe: Reading) -> Figures:
    return {f"{name}.stall": 1000 * probe.longest, f"{name}.stall_cpu": 1000 * probe.longest_cpu}


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def rounded(figures: Figures) -> Figures:
    """Return the figures rounded to what they are good for."""
    return {
        name: [round(each, 2) for each in value] if isinstance(value, list) else round(value, 4)
        for name, value in figures.items()
    }
