"""Twenty starts, and something goes away in their middle: the API server, or the hub itself."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devkit.realcluster.controlplane import ControlPlane
from devkit.testing.eventually import eventually
from devkit.testing.hubprocess import HubProcess
from devkit.testing.realhub import RealHub
from tests.failures import Row
from tests.fates import (
    CONTROL_USER,
    Stage,
    expect_untouched,
    failures,
    hub_process,
    kept_log,
    progress,
    slow_callbacks,
    stage_with_hub,
    watched_callbacks,
)

AWAY = "While the cluster or the hub is away"
USERS = tuple(f"ada-{number}" for number in range(20))
PODS = {f"jupyter-{user}" for user in (CONTROL_USER, *USERS)}
CLAIMS = {f"claim-{user}" for user in (CONTROL_USER, *USERS)}
SILENT = "The cluster is not responding. Your server starts when the cluster is back."
BROKEN_OFF = (
    "(The page that follows a start breaks off. When the hub is back, the server is ready; one that had no pod yet is "
    "shown as not running.)"
)
LONGEST = 180.0  # seconds

Moment = Callable[[Stage], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """What twenty users saw of a restart of the API server."""

    #: How often each sentence was read.
    read: Counter[str]
    log: list[str]
    #: Seconds until the API server was back, and until all starts were over.
    away: float
    over: float
    reasons: Counter[str]
    failure_count: int
    slow_callbacks: list[str]

    def row(self, where: str) -> Row:
        return Row(
            topic=AWAY,
            what=f"The API server restarts during 20 starts ({where}).",
            sentence=SILENT,
            log=next((line for line in self.log if SILENT in line), "").partition(f"{SILENT} ")[2],
            reason="",
            seconds=f"{self.over:.1f} until all 20 were ready, {self.away:.1f} of them without API server",
        )


async def restart_the_api_server(plane: ControlPlane, folder: Path, **options: Any) -> Restarted:
    """Start twenty servers, restart the API server when some of their pods exist, and let all of them end well."""
    clock = asyncio.get_running_loop().time
    async with stage_with_hub(plane, folder, users=(CONTROL_USER, *USERS), **options) as (stage, hub):
        before = failures()
        with watched_callbacks(), kept_log() as log:
            await hub.start_server(CONTROL_USER)
            await hub.wait_ready(CONTROL_USER, seconds=LONGEST)
            untouched = await stage.pod(CONTROL_USER)
            asking = [asyncio.create_task(hub.start_server(user)) for user in USERS]
            await eventually(lambda: len(stage.all("pods")) > 1, seconds=LONGEST)
            reading = [asyncio.create_task(_read(hub, user)) for user in USERS]
            begin = clock()
            await asyncio.to_thread(plane.restart_apiserver)
            away = clock() - begin
            sentences = await asyncio.gather(*reading)
            over = clock() - begin
            await asyncio.gather(*asking)
            for user in USERS:
                await hub.wait_ready(user)
        await expect_untouched(stage, hub, untouched)
        await _expect_one_each(stage)
        assert not [line for line in log if "server stopped" in line or "has ended" in line]
        return Restarted(
            read=Counter(sentence for each in sentences for sentence in set(each)),
            log=log,
            away=away,
            over=over,
            reasons=failures() - before,
            failure_count=hub.failure_count,
            slow_callbacks=slow_callbacks(log),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What became of twenty starts whose hub was killed."""

    #: Pods when the hub was killed, and servers that were ready when the next hub had looked.
    pods: int
    ready: int
    #: Seconds until the next hub answered, and until all servers were ready.
    boot: float
    over: float
    log: list[str]
    slow_callbacks: list[str]

    def row(self, where: str) -> Row:
        lost = (line for line in self.log if "middle of its start" in line)
        line = next(lost, "") or next(line for line in self.log if re.search(r"ada-\d+ still running", line))
        return Row(
            topic=AWAY,
            what=f"The hub is killed during 20 starts ({where}).",
            sentence=BROKEN_OFF,
            log=re.sub(r".*\] |.*(?=jupyter)|(?<=ada)-\d+", "", line),
            reason="",
            seconds=f"{self.over:.1f} until all were ready, {self.boot:.1f} of them for the next hub's start",
        )


async def kill_the_hub(plane: ControlPlane, folder: Path, moment: Moment, **options: Any) -> Killed:
    """Start twenty servers, kill the hub's process at the moment, start another; none is lost, doubled or leaked.

    A start of which the cluster had not heard is gone, and its user asks again.
    """
    clock = asyncio.get_running_loop().time
    async with hub_process(plane, folder, users=(CONTROL_USER, *USERS), **options) as (stage, hub):
        await hub.api("POST", f"/users/{CONTROL_USER}/server")
        await eventually(lambda: _is_ready(hub, CONTROL_USER), seconds=LONGEST)
        untouched = await stage.pod(CONTROL_USER)
        asking = [asyncio.create_task(hub.api("POST", f"/users/{user}/server")) for user in USERS]
        await eventually(lambda: moment(stage), seconds=LONGEST)
        hub.kill()
        begin = clock()
        pods = len(stage.all("pods")) - 1
        await asyncio.gather(*asking, return_exceptions=True)
        await hub.boot()
        boot = clock() - begin
        await eventually(lambda: _is_settled(hub), seconds=LONGEST)
        servers = await hub.servers()
        ready = {user for user, state in servers.items() if state == "ready"}
        assert {f"jupyter-{user}" for user in ready} == set(stage.all("pods")), "no pod without a server"
        assert CONTROL_USER in ready
        for user in {*USERS} - ready:
            assert (await hub.api("POST", f"/users/{user}/server"))[0] in {201, 202}
        await eventually(lambda: _are_ready(hub), seconds=LONGEST)
        over = clock() - begin
        assert await stage.pod(CONTROL_USER) is not None
        assert (await stage.pod(CONTROL_USER))["metadata"]["uid"] == untouched["metadata"]["uid"]
        await _expect_one_each(stage)
        ended = [line for line in hub.lines() if "server stopped" in line or "has ended" in line]
        assert all("died in the middle of its start, before there was a pod" in line for line in ended)
        return Killed(
            pods=pods,
            ready=len(ready) - 1,
            boot=boot,
            over=over,
            log=hub.lines(),
            slow_callbacks=slow_callbacks(hub.lines()),
        )


async def _read(hub: RealHub, user: str) -> list[str]:
    """All that a user reads of a start."""
    return [event["message"] async for event in progress(hub, user)]


async def _expect_one_each(stage: Stage) -> None:
    """Each user has one pod and one claim, and never had another pod."""
    pods = stage.all("pods")
    assert set(pods) == PODS
    assert set(stage.all("persistentvolumeclaims")) == CLAIMS
    spoken_of = {
        event["involvedObject"]["uid"]
        for event in stage.all("events").values()
        if event["involvedObject"]["kind"] == "Pod"
    }
    assert spoken_of <= {pod["metadata"]["uid"] for pod in pods.values()}


async def _is_ready(hub: HubProcess, user: str) -> bool:
    return (await hub.servers())[user] == "ready"


async def _is_settled(hub: HubProcess) -> bool:
    return set((await hub.servers()).values()) <= {"ready", "stopped"}


async def _are_ready(hub: HubProcess) -> bool:
    return set((await hub.servers()).values()) == {"ready"}
