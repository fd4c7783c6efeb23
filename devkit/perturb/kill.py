"""Kills a process at one of its writes: what the fault proxy decides about each request."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from devkit.chaos.fault_proxy import ApiRequest, DropReply, DropRequest, Fate, Pass
from devkit.perturb.cases import Moment, Write

READING = 0.1
"""Seconds in which a process reads a reply that its kernel has."""


@dataclass(kw_only=True)
class Kill:
    """One kill. Requests that come after it are let through only once `is_over` says so."""

    write: Write
    moment: Moment
    #: Kills the process at once.
    kill: Callable[[], None]
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    _met: int = 0

    async def decide(self, request: ApiRequest) -> Fate:
        """Return the fate of a request."""
        if (request.verb, request.resource) == (self.write.verb, self.write.resource):
            self._met += 1
            if self._met == self.write.number:
                return self._fate()
        if self._met >= self.write.number and request.verb not in {"get", "list", "watch"}:
            await self.struck.wait()  # nothing else is written before the process is dead
            return DropRequest()
        return Pass()

    def _fate(self) -> Fate:
        match self.moment:
            case Moment.BEFORE:
                self._strike()
                return DropRequest()
            case Moment.COMMITTED:
                return DropReply(then=self._strike)
            case Moment.REPLIED:
                return Pass(then=self._strike_soon)

    def _strike_soon(self) -> None:
        asyncio.get_running_loop().call_later(READING, self._strike)

    def _strike(self) -> None:
        self.kill()
        self.struck.set()
