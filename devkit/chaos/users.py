"""The load: people who start, stop, cancel, rename, come back, and ask for nonsense, each with a seed of their own."""

import asyncio
import json
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import aiohttp

from devkit.chaos.record import Operation, Recorder, now
from devkit.chaos.world import Hub, HubAwayError, Reply
from k8s_hub.clock import utcnow

SERVERS = ("", "lab", "gpu")
SLOWEST_START = 100.0
"""Seconds that a person watches a start at most; longer than any start may take."""
ACTIVITY_SECONDS = 5.0
NONSENSE: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/users/{user}/servers/{long}", {}),
    ("POST", "/users/{user}/servers/a%2Fb", {}),
    ("POST", "/users/no-such-user/server", {}),
    ("POST", "/users/{user}/server", {"user_options": "no object"}),
    ("DELETE", "/users/{user}/servers/never-made", None),
    ("PATCH", "/users/{user}", {"name": ""}),
    ("GET", "/users/{user}/servers/never-made/progress", None),
)

#: The weights of a person's steps, by kind. A person who is renamed never removes a named server: each of their servers
#: then has one home for the whole campaign.
KINDS: Mapping[str, Mapping[str, float]] = {
    "busy": {"start": 8, "stop": 6, "cancel": 3, "remove": 1, "look": 1, "nonsense": 1},
    "steady": {"start": 4, "look": 1},
    "idle": {"start": 1, "look": 4},
    "renamed": {"start": 8, "stop": 4, "cancel": 2, "rename": 3, "look": 1},
    "deleted": {"start": 6, "stop": 3, "cancel": 1, "delete": 2, "nonsense": 1},
}
SHARES = {"busy": 10, "steady": 4, "idle": 3, "renamed": 3, "deleted": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a person does next."""

    verb: str
    server: str
    #: Seconds before it.
    wait: float
    #: Seconds after which a start that is under way is cancelled.
    patience: float = 0.0


def kind_of(seed: int, person: str) -> str:
    """Return how a person behaves."""
    chance = random.Random(f"{seed}/{person}/kind")
    return chance.choices(list(SHARES), list(SHARES.values()))[0]


def next_step(kind: str, chance: random.Random, think_seconds: float) -> Step:
    """Draw what a person does next."""
    weights = KINDS[kind]
    return Step(
        verb=chance.choices(list(weights), list(weights.values()))[0],
        server=chance.choices(SERVERS, (3, 2, 1))[0],
        wait=chance.expovariate(1 / think_seconds),
        patience=chance.choice((0.0, 0.1, 0.5, 2.0)),
    )


@dataclass(kw_only=True)
class Person:
    """One user and what happened to their requests."""

    person: str
    kind: str
    chance: random.Random
    hub: Hub
    recorder: Recorder
    name: str = ""
    renames: int = 0
    #: The servers in which this person works.
    used: set[str] = field(default_factory=set)
    #: The servers that this person takes for running.
    running: set[str] = field(default_factory=set)
    #: Set when the load is to end.
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.name = self.person

    async def live(self, think_seconds: float) -> None:
        """Do one thing after the other, until the load is over."""
        while True:
            step = next_step(self.kind, self.chance, think_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(step.wait):
                    await self.is_over.wait()
                    return
            await self.do(self._wise(step))

    def _wise(self, step: Step) -> Step:
        """Return what most people do in place of starting a server that runs already."""
        if step.verb in {"start", "cancel"} and step.server in self.running and self.chance.random() < 0.8:
            return replace(step, verb="stop" if "stop" in KINDS[self.kind] else "look")
        return step

    async def work(self) -> None:
        """Use the servers that were started, for ever, as a notebook does that runs: the hub hears of it."""
        while True:
            await asyncio.sleep(ACTIVITY_SECONDS)
            for server in sorted(self.used):
                at = utcnow().isoformat()
                body = {"last_activity": at, "servers": {server: {"last_activity": at}}}
                await self._ask("activity", server, "POST", f"/users/{self._name}/activity", body)

    async def do(self, step: Step) -> None:
        """Do one thing, and write down how it went."""
        acts: Mapping[str, Callable[[Step], Awaitable[Operation]]] = {
            "start": self._start,
            "cancel": self._start,
            "stop": self._stop,
            "remove": self._stop,
            "rename": self._rename,
            "delete": self._delete,
            "look": self._look,
            "nonsense": self._nonsense,
        }
        done = await acts[step.verb](step)
        if done.status == 404 and step.verb != "nonsense":
            await self._find_myself()

    # --- What people do ---

    async def _start(self, step: Step) -> Operation:
        begin, key = now(), f"{self.person}/{step.server}"
        operation = Operation(begin=begin, end=0, verb="start", server=key, status=None, outcome="lost")
        try:
            reply = await self.hub.api("POST", self._path(step.server), {})
        except HubAwayError as error:
            return self._note(operation, message=str(error))
        if reply.status not in {201, 202}:
            outcome = "refused" if reply.status in {400, 404, 409, 424} else "failed"
            return self._note(operation, status=reply.status, outcome=outcome, message=_words(reply))
        if self.kind == "steady":
            self.used.add(step.server)
        watching = asyncio.create_task(self._watch(step.server))
        is_cancelled = False
        patience = min(step.patience if step.verb == "cancel" else math.inf, self.hub.patience)
        if patience < math.inf:
            await asyncio.wait([watching], timeout=patience)
            is_cancelled = not watching.done()
            if is_cancelled:
                await self._ask("cancel", step.server, "DELETE", self._path(step.server))
        outcome, message = await watching
        outcome = "cancelled" if is_cancelled and outcome != "ready" else outcome
        if outcome == "ready":
            self.running.add(step.server)
        return self._note(operation, status=reply.status, outcome=outcome, message=message)

    async def _watch(self, server: str) -> tuple[str, str]:
        """Follow a start; return its outcome and the hub's last words."""
        last: dict[str, object] = {}
        try:
            async with (
                asyncio.timeout(SLOWEST_START),
                self.hub.session.get(f"{self.hub.url}/hub/api{self._path(server)}/progress") as reply,
            ):
                async for line in reply.content:
                    if line.startswith(b"data:"):
                        last = json.loads(line.removeprefix(b"data:"))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return "lost" if not isinstance(error, TimeoutError) else "endless", repr(error)
        message = str(last.get("message", ""))
        if last.get("ready"):
            return "ready", ""
        return ("failed" if last.get("failed") else "lost"), message

    async def _stop(self, step: Step) -> Operation:
        self.used.discard(step.server)
        self.running.discard(step.server)
        body = {"remove": True} if step.verb == "remove" and step.server else None
        return await self._ask(step.verb, step.server, "DELETE", self._path(step.server), body)

    async def _rename(self, _step: Step) -> Operation:
        self.renames += 1
        new = f"{self.person}-r{self.renames}"
        done = await self._ask("rename", "", "PATCH", f"/users/{self._name}", {"name": new})
        if done.status == 200:
            self.name = new
        elif done.status is None:
            await self._find_myself()
        return done

    async def _delete(self, _step: Step) -> Operation:
        for server in SERVERS[1:]:
            await self._stop(Step(verb="remove", server=server, wait=0))
        done = await self._ask("delete", "", "DELETE", f"/users/{self._name}", seconds=90)
        await self._ask("create", "", "POST", f"/users/{self._name}", {})
        return done

    async def _look(self, _step: Step) -> Operation:
        return await self._ask("look", "", "GET", f"/users/{self._name}")

    async def _nonsense(self, _step: Step) -> Operation:
        method, path, body = self.chance.choice(NONSENSE)
        path = path.format(user=self._name, long="x" * 300)
        return await self._ask("nonsense", "", method, path, body)

    # --- How ---

    @property
    def _name(self) -> str:
        return quote(self.name, safe="")

    def _path(self, server: str) -> str:
        return f"/users/{self._name}/" + (f"servers/{quote(server, safe='')}" if server else "server")

    async def _ask(
        self,
        verb: str,
        server: str,
        method: str,
        path: str,
        body: object = None,
        *,
        seconds: float = 30,
    ) -> Operation:
        operation = Operation(begin=now(), end=0, verb=verb, server=f"{self.person}/{server}", status=None)
        try:
            reply = await self.hub.api(method, path, body, seconds=seconds)
        except HubAwayError as error:
            return self._note(operation, message=str(error))
        message = _words(reply) if reply.status >= 400 else ""
        return self._note(operation, status=reply.status, message=message)

    def _note(self, operation: Operation, **values: Any) -> Operation:
        done = replace(operation, end=now(), **values)
        self.recorder.add(done)
        return done

    async def _find_myself(self) -> None:
        """Learn one's own name anew: a reply was lost, or the hub has an older database."""
        try:
            names = [user["name"] for user in await self.hub.users()]
        except HubAwayError:
            return
        mine = [name for name in names if name == self.person or name.startswith(f"{self.person}-r")]
        if mine:
            self.name = mine[0]
        else:
            await self._ask("create", "", "POST", f"/users/{self._name}", {})


def _words(reply: Reply) -> str:
    return str(reply.body.get("message", "") if isinstance(reply.body, dict) else reply.body)[:300]


def people(count: int, seed: int, hub: Hub, recorder: Recorder) -> list[Person]:
    """Return the users of a campaign."""
    names = [f"u{number:03}" for number in range(count)]
    return [
        Person(
            person=name,
            kind=kind_of(seed, name),
            chance=random.Random(f"{seed}/{name}"),
            hub=hub,
            recorder=recorder,
        )
        for name in names
    ]
