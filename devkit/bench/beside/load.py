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
    failures: int

    @property
    def spread(self) -> Spread:
        return Spread.of(self.latencies)


async def rush(users: Sequence[str], act: Callable[[str], Awaitable[bool]], *, at_once: int) -> Rush:
    """Act for each user with limited concurrency."""
    waiting, latencies, failures = iter(users), [], 0

    async def one_after_another(mine: Iterable[str]) -> None:
        nonlocal failures
        for user in mine:
            begin = monotonic()
            is_well = await act(user)
            failures += not is_well
            latencies.append(monotonic() - begin)

    begin = monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one_after_another(waiting))
    return Rush(wall=monotonic() - begin, latencies=tuple(latencies), failures=failures)
