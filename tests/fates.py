"""One hub and many users, each with a fate of their own: what they read, what the log says, and after how long.

A control user's server runs all the while; whatever becomes of the others, nothing is to happen to it.
"""

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from devkit.realcluster.api import RefusedError
from devkit.realcluster.controlplane import ControlPlane
from devkit.slow_callbacks import SlowCallbacks
from devkit.testing.eventually import eventually
from devkit.testing.hubprocess import HubProcess
from devkit.testing.realhub import RealHub
from devkit.testing.runs import HOME
from k8s_hub import KubeSpawner
from k8s_hub.kube.pool import InformerPool
from k8s_hub.spawner.failures import FAILURES
from tests.failures import Row

CONTROL_USER = "control"
LONGEST = 240.0  # seconds that any fate may take
SLOW = 0.05  # seconds
SLOW_CALLBACK = "Slow callback: "

CAME_BACK = "(Nothing: the server is back under the same address, with the same files.)"

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where it happens: a namespace of a real cluster, seen as its administrator."""

    plane: ControlPlane
    namespace: str

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"

    def all(self, plural: str) -> dict[str, Raw]:
        """The namespace's objects of one kind, by name."""
        return {
            obj["metadata"]["name"]: obj for obj in self.plane.admin.get(f"{self.path}/{plural}")["items"]
        }

    async def pod(self, user: str) -> Raw | None:
        """A user's pod; None if there is none."""
        try:
            return await asyncio.to_thread(self.plane.admin.get, f"{self.path}/pods/jupyter-{user}")
        except RefusedError:
            return None

    async def delete_pod(self, user: str) -> None:
        """As `kubectl delete pod` does."""
        await asyncio.to_thread(self.plane.admin.delete, f"{self.path}/pods/jupyter-{user}")


Fault = Callable[[Stage, str], Awaitable[object]]
"""What happens to a user's server; the seconds are counted from its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """One user's server, and what becomes of it."""

    #: A name that the log has for nothing else: "ada-...".
    user: str
    traits: Mapping[str, Any] = field(default_factory=dict)
    #: Falls while the server starts, or once it is ready; None: nobody does anything.
    while_starting: Fault | None = None
    while_running: Fault | None = None
    #: The server that has ended comes back by itself.
    comes_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fate, and what must be seen of it."""

    fate: Fate
    what: str
    #: Words of the user's sentence, and of the log.
    words: str
    log: str
    #: The reason of a start that fails.
    reason: str = ""

    def __str__(self) -> str:
        return self.fate.user.removeprefix("ada-")


@dataclass(slots=True)
class Outcome:
    """What became of a server."""

    #: Seconds since the start was asked for or the fault struck, and what the user read then.
    read: list[tuple[float, str]] = field(default_factory=list)
    #: The log's lines about this server that were not about its good days.
    log: list[str] = field(default_factory=list)
    is_ready: bool = False
    #: Seconds since the start was asked for or the fault struck until the hub had it right.
    seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """What the user read last."""
        return self.read[-1][1]

    @property
    def reason(self) -> str:
        """The reason of the failed start, as the log has it."""
        return self._failure[0]

    @property
    def detail(self) -> str:
        """What the log has behind the user's sentence."""
        return self._failure[1]

    @property
    def _failure(self) -> tuple[str, str]:
        found = [match for line in self.log if (match := re.search(r" \[([a-z_]+)\] ?(.*)", line))]
        return (found[-1][1], found[-1][2]) if found else ("", "")

    def first_read(self, words: str) -> float:
        """After how many seconds the user read these words."""
        return next(seconds for seconds, sentence in self.read if words in sentence)

    def line(self, words: str) -> str:
        """The log's line with these words."""
        return next((line for line in self.log if words in line), "")

    def row(self, topic: str, case: Case) -> Row:
        """This outcome in the table of failures."""
        told = self.first_read(case.words)
        is_told_early = self.seconds - told > 1
        return Row(
            topic=topic,
            what=case.what,
            sentence=self.sentence,
            log=placeless(
                self.detail.partition("; ")[0] or self.line(case.log).partition(": ")[2], case.fate.user
            ),
            reason=case.reason,
            seconds=f"{told:.1f}, failed after {self.seconds:.1f}"
            if is_told_early
            else f"{self.seconds:.1f}",
        )


@dataclass(slots=True)
class Ending:
    """How a run ended."""

    outcomes: dict[str, Outcome]
    reasons: Counter[str]
    failure_count: int
    pods: set[str]
    claims: set[str]
    slow_callbacks: list[str]


async def play(
    plane: ControlPlane,
    folder: Path,
    fates: Sequence[Fate],
    *,
    prepare: Callable[[Stage], object] = lambda _: None,
    **options: Any,
) -> Ending:
    """Let every fate take its course at the same time, in one hub with these options of KubeSpawner."""
    traits = {fate.user: fate.traits for fate in fates}

    def give_traits(spawner: KubeSpawner) -> None:
        for name, value in traits.get(spawner.user.name, {}).items():
            setattr(spawner, name, value)

    users = [CONTROL_USER, *traits]
    async with stage_with_hub(plane, folder, users=users, pre_spawn_hook=give_traits, **options) as (
        stage,
        opened,
    ):
        prepare(stage)
        before = failures()
        with watched_callbacks(), kept_log() as log:
            await opened.start_server(CONTROL_USER)
            await opened.wait_ready(CONTROL_USER, seconds=LONGEST)
            untouched = await stage.pod(CONTROL_USER)
            async with asyncio.timeout(LONGEST), asyncio.TaskGroup() as group:
                courses = {fate.user: group.create_task(_take(fate, stage, opened, log)) for fate in fates}
            outcomes = {user: course.result() for user, course in courses.items()}
            await eventually(lambda: set(stage.all("pods")) <= _still_there(outcomes), seconds=LONGEST)
        for user, outcome in outcomes.items():
            outcome.log = [line for line in log if _is_about(line, user)]
        await expect_untouched(stage, opened, untouched)
        return Ending(
            outcomes=outcomes,
            reasons=failures() - before,
            failure_count=opened.failure_count,
            pods=set(stage.all("pods")),
            claims=set(stage.all("persistentvolumeclaims")),
            slow_callbacks=slow_callbacks(log),
        )


@asynccontextmanager
async def stage_with_hub(
    plane: ControlPlane, folder: Path, *, users: Sequence[str], **options: Any
) -> AsyncIterator[tuple[Stage, RealHub]]:
    """A hub with KubeSpawner and the chart's rights in a namespace of its own."""
    config = {
        "KubeSpawner": {**HOME, **options},
        "JupyterHub": {"tornado_settings": {"slow_spawn_timeout": 0}},
    }
    with staged(plane, folder) as (stage, kubeconfig), pytest.MonkeyPatch.context() as patch:
        config["KubeSpawner"]["namespace"] = stage.namespace
        patch.setenv("KUBECONFIG", str(kubeconfig))
        try:
            async with RealHub(spawner_class=KubeSpawner, config=config, users=users) as opened:
                yield stage, opened
        finally:
            await InformerPool.for_current_loop().close()


@asynccontextmanager
async def hub_process(
    plane: ControlPlane, folder: Path, *, users: Sequence[str], **options: Any
) -> AsyncIterator[tuple[Stage, HubProcess]]:
    """The same, with a hub that is a process of its own."""
    with staged(plane, folder) as (stage, kubeconfig):
        hub = HubProcess(
            folder, users=users, kubeconfig=kubeconfig, namespace=stage.namespace, **HOME, **options
        )
        async with hub:
            yield stage, hub


@contextmanager
def staged(plane: ControlPlane, folder: Path) -> Iterator[tuple[Stage, Path]]:
    """A namespace of its own, and the kubeconfig of a hub there."""
    stage = Stage(plane=plane, namespace=plane.make_namespace())
    token = plane.make_hub_account(stage.namespace)
    try:
        yield stage, plane.write_kubeconfig(folder / "kubeconfig", token=token, namespace=stage.namespace)
    finally:
        plane.admin.delete(stage.path)


def failures() -> Counter[str]:
    """How many starts have failed so far, by reason."""
    samples = (sample for metric in FAILURES.collect() for sample in metric.samples)
    return Counter({s.labels["reason"]: int(s.value) for s in samples if s.name.endswith("_total")})


@contextmanager
def watched_callbacks() -> Iterator[None]:
    """Have this package's callbacks above 50 ms told to the log."""
    watch = SlowCallbacks(SLOW)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


def slow_callbacks(log: Sequence[str]) -> list[str]:
    """What a log tells of callbacks above 50 ms."""
    return [line[line.index(SLOW_CALLBACK) :] for line in log if SLOW_CALLBACK in line]


@contextmanager
def kept_log() -> Iterator[list[str]]:
    """Keep what an administrator reads: every line of the hub from INFO on."""

    class ListHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.levelname}: {record.getMessage()}")

    lines: list[str] = []
    handler, root = ListHandler(logging.INFO), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


async def _take(fate: Fate, stage: Stage, hub: RealHub, log: Sequence[str]) -> Outcome:
    clock = asyncio.get_running_loop().time
    outcome = Outcome()
    begin = clock()
    await hub.start_server(fate.user)
    reading = asyncio.create_task(follow(hub, fate.user, outcome, begin))
    if fate.while_starting is not None:
        await fate.while_starting(stage, fate.user)
        struck = clock() - begin
        await reading
        outcome.seconds = outcome.read[-1][0] - struck
        return outcome
    await reading
    outcome.seconds = outcome.read[-1][0]
    if fate.while_running is not None:
        assert outcome.is_ready, outcome.sentence
        await fate.while_running(stage, fate.user)
        begin = clock()
        if fate.comes_back:
            await eventually(lambda: is_running(stage, fate.user), seconds=LONGEST)
            outcome.seconds = clock() - begin
            outcome.read.append((outcome.seconds, CAME_BACK))
            await eventually(lambda: _is_noticed(fate.user, log), seconds=LONGEST)
            assert hub.spawner(fate.user).ready
            return outcome
        await hub.wait_stopped(fate.user, seconds=LONGEST)
        assert f"/user/{fate.user}/" not in hub.routes
        outcome.is_ready = False
        outcome.seconds = clock() - begin
        outcome.read.append((outcome.seconds, await page_of(hub, fate.user)))
    return outcome


async def until_it_ends(stage: Stage, user: str) -> None:
    """A fault that the server brings about itself: returns when the cluster knows that it has ended."""
    async with asyncio.timeout(LONGEST):
        while not await has_ended(stage, user):  # noqa: ASYNC110 - at even steps: from here on seconds are counted
            await asyncio.sleep(0.2)


async def has_ended(stage: Stage, user: str) -> bool:
    pod = await stage.pod(user)
    if pod is None or "deletionTimestamp" in pod["metadata"]:
        return True
    statuses = pod["status"].get("containerStatuses", ())
    return pod["status"]["phase"] in {"Failed", "Succeeded"} or any(
        status["restartCount"] or "terminated" in status["state"] for status in statuses
    )


async def is_running(stage: Stage, user: str) -> bool:
    pod = await stage.pod(user)
    return pod is not None and all(status["ready"] for status in pod["status"].get("containerStatuses", ()))


async def follow(hub: RealHub, user: str, outcome: Outcome, begin: float) -> None:
    """Read what the user's page shows until the start is over."""
    clock = asyncio.get_running_loop().time
    async for event in progress(hub, user):
        sentence = event["message"].removeprefix("Spawn failed: ")
        outcome.read.append((clock() - begin, sentence))
        outcome.is_ready = bool(event.get("ready"))


async def progress(hub: RealHub, user: str) -> AsyncIterator[Raw]:
    """The events of a start, as the user's page gets them."""
    url = f"{hub.api_url}/users/{user}/server/progress"
    headers = {"Authorization": f"token {hub.token(user)}"}
    async with hub._session.get(url, headers=headers, timeout=None) as reply:
        assert reply.status == 200
        async for line in reply.content:
            if line.startswith(b"data:"):
                yield json.loads(line.removeprefix(b"data:"))


async def page_of(hub: RealHub, user: str) -> str:
    """What the user reads who opens the address of a server that is not there any more."""
    headers = {"Authorization": f"token {hub.token(user)}"}
    async with hub._session.get(f"{hub.url}user/{user}/", headers=headers) as reply:
        assert reply.status == 424
        text = await reply.text()
    [paragraph] = re.findall(r"<p>(.*?)</p>", text.partition('id="start"')[0], re.DOTALL)[-1:]
    return " ".join(paragraph.split())


def placeless(text: str, user: str) -> str:
    """Without what differs from run to run, and in everybody's words."""
    return re.sub(r"\btest-[0-9a-f]{8}\b", "NAMESPACE", text).replace(user, "ada")


def _still_there(outcomes: Mapping[str, Outcome]) -> set[str]:
    alive = (user for user, outcome in outcomes.items() if outcome.is_ready)
    return {f"jupyter-{user}" for user in (CONTROL_USER, *alive)}


def _is_noticed(user: str, log: Sequence[str]) -> bool:
    """Has the hub seen that the server ended and comes back?"""
    return any("the kubelet starts it again" in line and _is_about(line, user) for line in log)


def _is_about(line: str, user: str) -> bool:
    return bool(re.search(rf"\b{user}\b", line))


async def expect_untouched(stage: Stage, hub: RealHub, before: Raw | None) -> None:
    """Nothing has happened to the control user's server."""
    after = await stage.pod(CONTROL_USER)
    assert before is not None
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    spawner = hub.spawner(CONTROL_USER)
    assert spawner is not None
    assert spawner.ready
    assert await spawner.poll() is None
    assert f"/user/{CONTROL_USER}/" in hub.routes
