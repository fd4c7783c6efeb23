"""The demo's processes: mini cluster, proxy and hub, started in order and stopped in reverse.

The hub starts the idle culler itself, as a real hub does. The proxy is not the hub's child, as in the
Zero to JupyterHub chart, so that users stay connected while the hub is away.
However the context ends, no process is left.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from devkit.demo import leftovers
from devkit.demo.failure import DemoError
from devkit.demo.gather import gather
from devkit.demo.plan import Plan, cluster_command, culler_options_of, hub_command, proxy_command
from devkit.demo.process import Command, Probe, Process
from devkit.demo.settings import Use

READY_DEADLINE = 60.0  # seconds for each part; a slow machine needs 5
STOP_GRACE = 20.0  # seconds for each part; the hub may have servers to stop
ORPHAN_GRACE = 5.0  # seconds for the children of a killed hub
PROBE_TIMEOUT = aiohttp.ClientTimeout(total=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A command with its readiness probe."""

    command: Command
    is_ready: Probe


class Stack:
    """Owns the parts' processes. A part may be killed and started again."""

    def __init__(self, parts: tuple[Part, ...], marker: str) -> None:
        self.left_behind: Mapping[int, str] = {}  # processes that had to be killed after the stop
        self._parts = {part.command.name: part for part in parts}
        self._marker = marker
        self._running: dict[str, Process] = {}

    async def start(self) -> None:
        """Start all parts, each once the previous one is ready."""
        for name in self._parts:
            await self.start_part(name)

    async def start_part(self, name: str) -> None:
        """Start one part and wait until it is ready; raise DemoError if it is not."""
        part = self._parts[name]
        process = self._running[name] = await Process.start(part.command)
        await process.wait_until_ready(part.is_ready, deadline=READY_DEADLINE)

    async def kill_part(self, name: str) -> None:
        """Send SIGKILL, as in an out-of-memory kill or the loss of a node."""
        await self._running.pop(name).kill()

    async def stop(self) -> None:
        """Stop all parts in reverse order, then leftover processes."""
        for name in reversed(list(self._running)):
            await self._running.pop(name).stop(grace=STOP_GRACE)
        self.left_behind = await leftovers.end(self._marker, grace=ORPHAN_GRACE)

    async def watch(self) -> None:
        """Raise DemoError if a part ends by itself; never return."""
        await gather(*(_complain(process) for process in self._running.values()))


@asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[Stack]:
    """Run a stack for the context; stop it at the end, even if it is only partly started."""
    _prepare(plan)
    stack = Stack(parts_of(plan), plan.marker)
    try:
        await stack.start()
        yield stack
    finally:
        await stack.stop()
        for pid, command in stack.left_behind.items():
            print(
                f"The demo killed process {pid}, which it had started and which did not end: {command}",
                flush=True,
            )


def parts_of(plan: Plan) -> tuple[Part, ...]:
    """Return the parts in their order of start."""
    cluster = Part(command=cluster_command(plan), is_ready=_holds(plan.kubeconfig.is_file))
    proxy = Part(command=proxy_command(plan), is_ready=_answers(plan.proxy_api))
    hub = Part(command=hub_command(plan), is_ready=_answers(f"{plan.url}/hub/login"))
    return (cluster, proxy, hub) if plan.settings.kubeconfig is None else (proxy, hub)


def _answers(url: str) -> Probe:
    async def is_ready() -> bool:
        try:
            async with aiohttp.ClientSession(timeout=PROBE_TIMEOUT) as session, session.get(url) as response:
                return response.status < 500
        except (aiohttp.ClientError, TimeoutError):
            return False

    return is_ready


def _holds(question: Callable[[], bool]) -> Probe:
    async def is_ready() -> bool:
        return question()

    return is_ready


def _prepare(plan: Plan) -> None:
    """Remove the old kubeconfig, because a new one signals readiness, and write the culler's options."""
    if plan.settings.kubeconfig is None:
        plan.kubeconfig.unlink(missing_ok=True)
    plan.decision_log.unlink(missing_ok=True)
    plan.hub_log.unlink(missing_ok=True)
    plan.repeated.unlink(missing_ok=True)
    if plan.settings.use is Use.SHOWN:
        plan.culler_options.write_text(json.dumps(culler_options_of(plan), indent=2))


async def _complain(process: Process) -> None:
    code = await process.wait()
    raise DemoError(f"the {process.command.name} ended by itself with code {code}: {process.last_words()}")
