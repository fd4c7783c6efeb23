"""A class arrives: many users ask for a server within seconds, and each follows its progress page."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from time import monotonic

from devkit.bench.beside.hub import Hub

PATIENCE = 600
"""Seconds that a user asks again after a refusal."""


@dataclass(slots=True, kw_only=True)
class Arrival:
    """What the users have seen; times in seconds."""

    #: From a user's first request to the first message of the spawner.
    told: list[float] = field(default_factory=list)
    #: From a user's first request to a ready server.
    ready: list[float] = field(default_factory=list)
    #: How often a request for a server was answered so.
    statuses: Counter[int] = field(default_factory=Counter)
    failures: int = 0
    wall: float = 0.0


async def arrive(hub: Hub, users: Sequence[str], *, seconds: float) -> Arrival:
    """Have the users come evenly within so many seconds; return when each has a server or a failure."""
    seen, begin = Arrival(), monotonic()
    async with asyncio.TaskGroup() as group:
        for number, user in enumerate(users):
            group.create_task(_come(hub, user, seen, after=seconds * number / len(users)))
    seen.wall = monotonic() - begin
    return seen


async def _come(hub: Hub, user: str, seen: Arrival, *, after: float) -> None:
    await asyncio.sleep(after)
    begin, is_told = monotonic(), False
    if not await _is_accepted(hub, user, seen, until=begin + PATIENCE):
        seen.failures += 1
        return
    async for message in _progress(hub, user):
        if message.get("ready"):
            seen.ready.append(monotonic() - begin)
            return
        if message.get("failed"):
            break
        # The first is the hub's own: "Server requested".
        if not is_told and message["message"] != "Server requested":
            seen.told.append(monotonic() - begin)
            is_told = True
    seen.failures += 1


async def _is_accepted(hub: Hub, user: str, seen: Arrival, *, until: float) -> bool:
    """Ask for a server, again after each 429; return False if the request fails."""
    while monotonic() < until:
        async with hub.session.post(f"users/{user}/server") as reply:
            seen.statuses[reply.status] += 1
            if reply.status != 429:
                return reply.status < 300
            pause = float(reply.headers.get("Retry-After", "1"))
        await asyncio.sleep(pause)
    return False


async def _progress(hub: Hub, user: str) -> AsyncIterator[dict[str, str]]:
    """Yield the events of a user's progress page."""
    async with hub.session.get(f"users/{user}/server/progress") as reply:
        reply.raise_for_status()
        async for line in reply.content:
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))
