"""The measurements: each brings a situation about and returns its figures by name.

Names are `situation.figure`; times are in the unit that `table` prints.
"""

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.beside import cluster
from tests.bench.beside.hub import Hub, Reading, running_hub
from tests.bench.beside.load import Rush, rush
from tests.bench.beside.plan import Plan, Subject
from tests.bench.beside.requests import read_requests, since
from tests.bench.figures import Spread
from tests.box.controlplane import ControlPlane

Figures = dict[str, float]

SETTLING = 10
"""Seconds after a burst in which cluster and hub come to rest."""

SLOW_AT_ONCE = 10
"""So few that the hub is idle for most of the time: what is measured is how it hears that a pod runs."""

CROWD_NODES = "crowd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Where everything is measured."""

    plan: Plan
    plane: ControlPlane
    #: Where the users' servers listen, at any address.
    port: int
    logs: Path

    def hub(self, subject: Subject, part: str, **options: Any):
        """A hub of the subject's with these options of KubeSpawner."""
        log = self.logs / f"hub-{subject.name.replace(' ', '-')}-{part}.log"
        return running_hub(subject, self.plane, self.port, log, **options)


async def measure_burst(field: Field, subject: Subject, count: int) -> Figures:
    """Few start at a time, many at once, nothing happens, all are stopped."""
    plan, users = field.plan, _names("user", count)
    async with field.hub(subject, f"burst-{count}") as hub:
        few = await _few(hub, plan.few)
        await hub.add_users(users)
        await hub.read_probe()
        before, cpu = hub.memory, hub.cpu
        started = await rush(users, hub.start, at_once=plan.at_once)
        spent, probe = hub.cpu - cpu, await hub.read_probe()
        figures = (
            few | {"burst.cpu": 1000 * spent / count} | _of_rush("burst", started) | _stalls("burst", probe)
        )
        await asyncio.sleep(SETTLING)
        figures |= {
            "memory.resident": hub.memory.resident,
            "memory.proportional": hub.memory.proportional,
            "memory.before": before.resident,
        }
        figures |= await _quiet(field, hub, "quiet")
        cpu = hub.cpu
        stopped = await rush(users, hub.stop, at_once=plan.at_once)
        return figures | {"stop.cpu": 1000 * (hub.cpu - cpu) / count} | _of_rush("stop", stopped)


async def measure_script(field: Field, count: int) -> Figures:
    """What `measure_burst` does, without a hub."""
    namespace = field.plane.make_namespace(f"bench-{secrets.token_hex(4)}")
    claim, pod = await cluster.objects(namespace, field.port)
    task = {
        "url": field.plane.url,
        "token": field.plane.make_hub_account(namespace),
        "ca_certificate": str(field.plane.ca_certificate),
        "namespace": namespace,
        "claim": claim,
        "pod": pod,
        "few": _names("few", field.plan.few),
        "users": _names("user", count),
        "at_once": field.plan.at_once,
    }
    path = field.logs / "bare-script.json"
    path.write_text(json.dumps(task))
    path.chmod(0o600)
    rushes = {name: Rush(**made) for name, made in (await _run_script(path)).items()}
    return (
        _of_rush("few", rushes["few"])
        | _of_rush("burst", rushes["started"])
        | _of_rush("stop", rushes["stopped"])
    )


async def _run_script(task: Path) -> dict[str, Any]:
    command = (sys.executable, "-m", "tests.bench.beside.bare", task)
    script = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        told, _ = await script.communicate()
    except asyncio.CancelledError:
        script.kill()
        raise
    return json.loads(told)


async def measure_slow(field: Field, subject: Subject) -> Figures:
    """Pods take 3 to 8 seconds; how long after that does start() return?"""
    users = _names("slow", field.plan.slow_users)
    async with field.hub(subject, "slow") as hub:
        await hub.add_users(users)
        with cluster.slow_pods(field.plane):
            async with cluster.observed(field.plane, hub.namespace) as ready:
                started = await rush(users, hub.start, at_once=SLOW_AT_ONCE)
            returned = (await hub.read_probe()).returned
    spread = Spread.of([1000 * (returned[user] - ready[user]) for user in users if user in returned])
    return {
        "slow.p50": spread.p50,
        "slow.p95": spread.p95,
        "slow.longest": spread.longest,
        "slow.failures": started.failures,
    }


async def measure_crowd(field: Field, subject: Subject) -> Figures:
    """Many pods run already, of servers that this hub does not poll."""
    async with field.hub(subject, "crowd") as hub:
        nodes = field.plane.make_nodes(cluster.nodes_for(field.plan.crowd), prefix=hub.namespace)
        size = await cluster.fill(field.plane, hub.namespace, field.plan.crowd, nodes, field.port)
        await hub.add_users(["first"])
        await asyncio.sleep(SETTLING)
        await hub.read_probe()
        await hub.start("first")
        await asyncio.sleep(SETTLING)
        started = await hub.read_probe()
        figures = {"crowd.megabytes": size / 1e6, "crowd.resident": hub.memory.resident}
        return figures | _stalls("crowd.start", started) | await _quiet(field, hub, "crowd.quiet")


async def _few(hub: Hub, count: int) -> Figures:
    """Start some users three at a time, after one who connects and fills the views."""
    users = _names("few", count + 1)
    await hub.add_users(users)
    await hub.start(users.pop())
    started = await rush(users, hub.start, at_once=3)
    await rush([*users, f"few-{count}"], hub.stop, at_once=10)
    return _of_rush("few", started)


async def _quiet(field: Field, hub: Hub, name: str) -> Figures:
    """Leave the hub alone."""
    seconds = field.plan.quiet_seconds
    await hub.read_probe()
    asked, cpu = read_requests(field.plane), hub.cpu
    await asyncio.sleep(seconds)
    share = 100 * (hub.cpu - cpu) / seconds
    probe, requests = await hub.read_probe(), since(asked, read_requests(field.plane))
    lists = {f"{name}.lists": float(requests.get("LIST", 0))}
    verbs = {f"{name}.requests.{verb}": float(count) for verb, count in requests.items()}
    return {f"{name}.cpu": share} | _stalls(name, probe) | lists | verbs


def _of_rush(name: str, made: Rush) -> Figures:
    spread = made.spread
    return {
        f"{name}.wall": made.wall,
        f"{name}.p50": spread.p50,
        f"{name}.p95": spread.p95,
        f"{name}.failures": made.failures,
    }


def _stalls(name: str, probe: Reading) -> Figures:
    return {f"{name}.stall": 1000 * probe.longest, f"{name}.stall_cpu": 1000 * probe.longest_cpu}


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def flat(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the figures rounded to what they are good for."""
    return {name: round(value, 4) for name, value in figures.items()}
