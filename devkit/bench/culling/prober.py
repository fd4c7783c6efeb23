"""Somebody who asks the hub for next to nothing, ten times a second, and notes how long it took."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import aiohttp

from devkit.bench.figures import Spread

PROBE_SECONDS = 0.1


@dataclass(slots=True)
class Prober:
    """Milliseconds that GET /hub/api/ took, by when it was asked."""

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
