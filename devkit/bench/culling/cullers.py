"""Idle cullers as processes, each watched for one sweep through a gateway."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Protocol

from devkit.bench.culling.gateway import Gateway, Request
from devkit.bench.culling.idle_hub import TOKEN

PEER_PYTHON = Path(__file__).parents[3] / ".venv-peer/bin/python"

LONGEST_SWEEP = 900.0
"""Seconds: three times what the slowest takes."""


class HasUrl(Protocol):
    """A hub, or a server that looks like one to a culler."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Culler:
    """A culler with its command; other options have their defaults."""

    name: str
    command: tuple[str, ...]
    look_is_over: str = ""  # its log line after a sweep that stops nothing; "": none
    sweep_is_over: str = ""  # its log line after a sweep; "": none

    def with_pages_of(self, users: int) -> "Culler":
        """Return the same with pages of another size."""
        return self.with_flags(f"--api-page-size={users}")

    def with_flags(self, *flags: str) -> "Culler":
        """Return the same with these flags, in place of those of the same name."""
        names = tuple(flag.partition("=")[0] + "=" for flag in flags)
        others = (part for part in self.command if not part.startswith(names))
        return replace(self, command=(*others, *flags))


OURS = Culler(
    name="k8s_hub",
    command=(sys.executable, "-m", "k8s_hub.culler", "--cull-every=10"),
    look_is_over="Sweep (stops nothing): ",
    sweep_is_over=" Sweep: ",
)
PEER = Culler(
    name="idle-culler 2.0.0",
    command=(str(PEER_PYTHON), "-m", "jupyterhub_idle_culler", "--cull-every=86400"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The requests of one sweep. A pass that stops nothing does not count."""

    requests: tuple[Request, ...]

    @property
    def pages(self) -> list[Request]:
        """The requests for pages of users."""
        return [request for request in self.requests if request.path.partition("?")[0].endswith("/users")]

    @property
    def stops(self) -> list[Request]:
        """The requests to stop a server."""
        return [request for request in self.requests if request.method == "DELETE"]

    @property
    def refused(self) -> int:
        """The number of replies with 503."""
        return sum(request.status == 503 for request in self.requests)

    @property
    def begun(self) -> float:
        """When its first request came, in the machine's monotonic time."""
        return min(request.begun for request in self.requests)

    @property
    def seconds(self) -> float:
        """From the first request until the last server was stopped, or the last page was read."""
        return last_answer(self.stops or self.pages or self.requests) - self.begun

    @property
    def most_stops_at_once(self) -> int:
        """How many stops the hub was at, at most."""
        stops = [request for request in self.stops if request.status != 503]
        under_way = [sum(other.begun <= stop.begun < other.ended for other in stops) for stop in stops]
        return max(under_way, default=0)


def last_answer(requests: Iterable[Request]) -> float:
    """Return when the last of these was answered."""
    return max(request.ended for request in requests)


async def sweep_of(culler: Culler, gate: Gateway, directory: Path) -> Sweep:
    """Run a culler for one sweep."""
    log = directory / f"{culler.name}.log"

    def has_logged(words: str) -> Callable[[], bool]:
        return lambda: words in log.read_text(encoding="utf-8")

    async with started(culler, gate, log) as process:
        if culler.look_is_over:
            await until(has_logged(culler.look_is_over), process, log)
            gate.requests.clear()
        await until(
            has_logged(culler.sweep_is_over) if culler.sweep_is_over else gate.is_silent, process, log
        )
        return Sweep(requests=tuple(request for request in gate.requests if request.is_over))


async def until(condition: Callable[[], bool], process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait for the condition; raise what the culler logged where it has ended."""
    deadline = monotonic() + LONGEST_SWEEP
    while not condition():
        if process.returncode is not None or monotonic() > deadline:
            raise AssertionError(f"{log.stem} did not come to an end: {tail_of(log)}")
        await asyncio.sleep(0.05)


def tail_of(log: Path) -> str:
    """Return the last that was logged."""
    return log.read_text(encoding="utf-8")[-3000:]


@asynccontextmanager
async def started(
    culler: Culler, gate: HasUrl, log: Path, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a culler, with more in its environment; at the end it is told to stop."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JUPYTERHUB_")}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *culler.command,
            "--timeout=3600",
            f"--url={gate.url}/hub/api",
            env={**kept, "JUPYTERHUB_API_TOKEN": TOKEN, **environment},
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
