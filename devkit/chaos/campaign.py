"""One soak: load and faults against one hub; everything is written down for the judge."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from devkit.chaos.faults import FAULTS, Stage, schedule
from devkit.chaos.observer import CANARY, RESOURCES, Observer
from devkit.chaos.record import (
    Canary,
    End,
    Event,
    Fault,
    HubEnd,
    Leak,
    Recorder,
    Start,
    change_of,
    culls_in,
    now,
    requests_in,
)
from devkit.chaos.users import Person, people
from devkit.chaos.world import Subject, World, open_world
from devkit.realcluster.process import Process, ProcessFailedError

PEACE_SECONDS = 20.0
"""Between two faults."""
COPY_SECONDS = 15.0
KEPT_COPIES = 5  # so that the oldest is a minute old
FOREIGN_RELEASE = "another-hub"

Go = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a person can choose."""

    subject: Subject
    seed: int
    minutes: float
    users: int
    #: Operations a second that the users want, all together.
    rate: float
    folder: Path
    command: str
    #: Only these faults; all if empty.
    faults: tuple[str, ...] = ()
    idle_timeout: float = 60.0
    cull_every: float = 10.0
    start_timeout: float = 60.0

    @property
    def final_peace(self) -> float:
        """Seconds after the load: an idle server gets its time-out, two sweeps, and a while."""
        return self.idle_timeout + 2 * self.cull_every + 20


async def run(plan: Plan) -> list[Event]:
    """Run a campaign; return all that was written down. It is in `record.jsonl`, too."""
    with (plan.folder / "record.jsonl").open("w", buffering=1, encoding="utf-8") as file:
        recorder = Recorder(file)
        async with open_world(plan.subject, plan.folder) as world:
            recorder.add(
                Start(
                    at=now(),
                    seed=plan.seed,
                    minutes=plan.minutes,
                    users=plan.users,
                    spawner=plan.subject.spawner,
                    hub=plan.subject.hub,
                    idle_timeout=plan.idle_timeout,
                    cull_every=plan.cull_every,
                    start_timeout=plan.start_timeout,
                    command=plan.command,
                )
            )
            await _soak(plan, world, recorder)
        return recorder.events


async def _soak(plan: Plan, world: World, recorder: Recorder) -> None:
    observer = Observer(world=world, recorder=recorder)
    world.servers.is_there = observer.has_pod_at

    def make_culler() -> Process:
        return world.make_culler(*_culler_flags(plan))

    stage = Stage(
        world=world,
        observer=observer,
        chance=random.Random(f"{plan.seed}/stage"),
        culler=make_culler(),
        make_culler=make_culler,
    )
    crowd = people(plan.users, plan.seed, world.hub, recorder)
    await world.hub.api("POST", "/users", {"usernames": [person.name for person in crowd]}, seconds=60)
    await plant_foreign_objects(stage)
    stage.culler.start()
    async with _going_on(stage, recorder) as go:
        lives = [go(person.live(plan.users / plan.rate)) for person in crowd]
        for person in crowd:
            if person.kind == "steady":
                go(person.work())
        await _play_faults(plan, stage, recorder)
        await _end_load(crowd, lives)
        load_end = now()
        print(f"the load has ended; peace for {plan.final_peace:.0f} s", file=sys.stderr, flush=True)
        await asyncio.sleep(plan.final_peace)
        recorder.add(End(load=load_end, at=now()))
    for _, copy in stage.copies:
        copy.unlink()
    await _gather_the_rest(world, observer, recorder)


def _culler_flags(plan: Plan) -> list[str]:
    flags = [f"--timeout={plan.idle_timeout:.0f}", f"--cull-every={plan.cull_every:.0f}"]
    return [*flags, "--activity-interval=10"] if plan.subject.spawner == "k8s_hub" else flags


async def _play_faults(plan: Plan, stage: Stage, recorder: Recorder) -> None:
    """One fault at a time, with peace between, until the time is over."""
    deadline = now() + plan.minutes * 60
    order = cycle(plan.faults) if plan.faults else schedule(plan.seed)
    await asyncio.sleep(PEACE_SECONDS)
    while now() < deadline:
        kind, begin = next(order), now()
        print(f"{kind} ...", file=sys.stderr, flush=True)
        note = await FAULTS[kind](stage)
        recorder.add(Fault(kind=kind, begin=begin, end=now(), note=note))
        await asyncio.sleep(PEACE_SECONDS)


@asynccontextmanager
async def _going_on(stage: Stage, recorder: Recorder) -> AsyncIterator[Go]:
    """Give a function that lets something go on while inside; so do the looks at cluster and hub, and who keeps the hub."""
    observer, tasks = stage.observer, []
    async with asyncio.TaskGroup() as group:

        def go(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            tasks.append(group.create_task(work))
            return tasks[-1]

        for resource in RESOURCES:
            go(observer.watch(resource))
        go(observer.sample())
        go(observer.mark_claims())
        go(_copy_databases(stage))
        go(_keep_hub(stage, recorder))
        yield go
        for task in tasks:
            task.cancel()


async def _end_load(crowd: list[Person], lives: list[asyncio.Task[None]]) -> None:
    """Let everybody finish what they do; who works in a server goes on."""
    for person in crowd:
        person.is_over.set()
    await asyncio.gather(*lives)


async def _keep_hub(stage: Stage, recorder: Recorder) -> None:
    """Start the hub again where it ended by itself, as a kubelet does, and write it down."""
    process = stage.world.hub.process
    while True:
        await asyncio.sleep(0.5)
        if stage.hub_is_down or process.is_alive:
            continue
        recorder.add(HubEnd(at=now(), last_words=process.tail(1500)))
        await stage.world.hub.kill()
        with suppress(ProcessFailedError):
            await stage.world.hub.start()


async def _copy_databases(stage: Stage) -> None:
    number = 0
    while True:
        await asyncio.sleep(COPY_SECONDS)
        number += 1
        copy = stage.world.folder / f"copy-{number}.sqlite"
        if not stage.hub_is_down:
            await asyncio.to_thread(stage.world.hub.copy_database, copy)
            stage.copies.append((now(), copy))
        while len(stage.copies) > KEPT_COPIES:
            stage.copies.pop(0)[1].unlink()


async def plant_foreign_objects(stage: Stage) -> None:
    """Create what a hub of another release in the namespace would have, for users of the same names."""
    for number in range(3):
        metadata: dict[str, Any] = {
            "labels": {
                "app.kubernetes.io/instance": FOREIGN_RELEASE,
                "release": FOREIGN_RELEASE,
                "app": "jupyterhub",
                "component": "singleuser-server",
                "app.kubernetes.io/component": "singleuser-server",
                "hub.jupyter.org/username": f"u{number:03}",
            },
            "annotations": {
                "hub.jupyter.org/username": f"u{number:03}",
                "hub.jupyter.org/servername": "",
            },
        }
        name = f"{FOREIGN_RELEASE}-u{number:03}"
        container = {"name": "notebook", "image": "example.test/notebook:1"}
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        specs: dict[str, dict[str, Any]] = {
            "pods": {"spec": {"containers": [container]}},
            "persistentvolumeclaims": {"spec": claim},
            "secrets": {"stringData": {"a": "b"}},
            "services": {"spec": {"ports": [{"port": 80}]}},
        }
        for plural, spec in specs.items():
            await stage.admin(
                "POST", f"{stage.core}/{plural}", {"metadata": {**metadata, "name": name}, **spec}
            )


async def _gather_the_rest(world: World, observer: Observer, recorder: Recorder) -> None:
    """Write down the canaries, and what logs say."""
    for claim in await world.objects("persistentvolumeclaims"):
        metadata = claim["metadata"]
        change = change_of(now(), "MODIFIED", "persistentvolumeclaims", claim)
        found = metadata.get("annotations", {}).get(CANARY, "missing")
        state = "there" if found in {metadata["uid"], "missing"} else f"it has the uid {found}"
        recorder.add(Canary(server=change.server, name=change.name, found=state))
    hub_log = world.hub.process.log.read_text(errors="replace")
    for cull in culls_in(hub_log.splitlines()):
        recorder.add(cull)
    for request in requests_in(world.audit_log.read_text().splitlines(), world.namespace):
        recorder.add(request)
    secrets = _secrets(world, observer)
    places = {path.name: path.read_text(errors="replace") for path in world.folder.glob("*.log")}
    places.pop("audit.log", None)
    for secret, whose in secrets.items():
        for place, text in places.items():
            if secret in text:
                recorder.add(Leak(secret=whose, place=place))
        for uid, spec in observer.specs.items():
            if secret in spec and not whose.startswith("the token of"):
                recorder.add(Leak(secret=whose, place=f"the spec of pod {uid}"))


def _secrets(world: World, observer: Observer) -> dict[str, str]:
    return {
        world.hub.token_file.read_text(): "the hub's ServiceAccount token",
        world.hub.culler_token: "the culler's token",
        **observer.tokens,
    }
