"""Sweep after sweep, never two at once, as long as the hub that started this process lives."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from k8s_hub.culler.report import Report
from k8s_hub.hub.errors import HubError

log = logging.getLogger(__name__)

Pass = Callable[[], Awaitable[Report]]
"""Goes over all servers once."""

PARENT_CHECK_SECONDS = 1.0
"""A killed hub is followed by the next within seconds, which starts a culler of its own."""


class CullerService:
    """Owns the last report and the time of the next sweep; outlives hub restarts and failing sweeps."""

    def __init__(self, look: Pass, sweep: Pass, *, every: timedelta, now: Callable[[], datetime]) -> None:
        self.last_report: Report | None = None  # None: no sweep has ended well yet
        self.next_sweep: datetime | None = None  # None: a sweep is under way
        self._look = look
        self._sweep = sweep
        self._every = every
        self._now = now

    async def run(self) -> None:
        """Look now, sweep at every interval, until cancelled. A sweep that takes longer delays the next.

        Nothing is stopped at the first look, nor at one after a pass that failed: a hub that has just come back
        has not heard yet who was active while it was away. What is wrong with the URL, the token or its scopes
        shows at once nevertheless.
        """
        has_looked = False
        while True:
            if has_looked:
                has_looked = await self._in_its_time("Sweep", self._sweep)
            else:
                has_looked = await self._in_its_time("First a look, nothing is stopped", self._look)

    async def _in_its_time(self, name: str, act: Pass) -> bool:
        """Do one pass, then wait until it is time for the next; return whether it ended well."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        self.next_sweep = None
        went_well = await self._supervised(name, act)
        pause = max(0.0, begun + self._every.total_seconds() - clock())
        self.next_sweep = self._now() + timedelta(seconds=pause)
        await asyncio.sleep(pause)
        return went_well

    async def _supervised(self, name: str, act: Pass) -> bool:
        try:
            self.last_report = await act()
        except HubError as error:
            log.error("%s: it failed: %s", name, error)  # noqa: TRY400 - the sentence says all
        except Exception:  # The supervisor: a mistake in one sweep must not end all further ones.
            log.exception("%s: it failed", name)
        else:
            log.info("%s: %s", name, self.last_report)
            return True
        return False


async def parent_is_gone(parent: int) -> None:
    """Return when the process ``parent``, which started this one, has ended, however it did.

    A hub that is killed leaves its managed services running and starts new ones when it is back.
    """
    while os.getppid() == parent:  # noqa: ASYNC110 - the kernel's answer, not an event of this process
        await asyncio.sleep(PARENT_CHECK_SECONDS)


async def run_while(service: CullerService, hub_is_gone: Awaitable[None] | None) -> None:
    """Run the service until it is cancelled or the hub that manages it is gone; None: no hub does."""
    if hub_is_gone is None:
        await service.run()
        return
    async with asyncio.TaskGroup() as tasks:
        sweeping = tasks.create_task(service.run())
        await hub_is_gone
        log.info("The hub that started this culler is gone: the next hub starts its own")
        sweeping.cancel()
