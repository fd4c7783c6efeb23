"""The load of users: many at once, a few at a time, or none."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic

from devkit.bench.figures import Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Rush:
    """The results of many requests, in seconds."""

    wall: float
    latencies: tuple[float, ...]
    #: When each request that went well ended, from the begin of the first; in order.
    ends: tuple[float, ...]
    failures: int

    @property
    def spread(self) -> Spread:
        return Spread.of(self.latencies)


async def rush(users: Sequence[str], act: Callable[[str], Awaitable[bool]], *, at_once: int) -> Rush:
    """Act for each user with limited concurrency."""
    waiting, latencies, ends = iter(users), [], []
    first = monotonic()

    async def one_after_another(mine: Iterable[str]) -> None:
        for user in mine:
            begin = monotonic()
            is_well = await act(user)
            end = monotonic()
            latencies.append(end - begin)
            if is_well:
                ends.append(end - first)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one_after_another(waiting))
    return Rush(
        wall=monotonic() - first,
        latencies=tuple(latencies),
        ends=tuple(ends),
        failures=len(latencies) - len(ends),
    )
