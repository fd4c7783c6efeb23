"""Sweep at every interval, one sweep at a time, until the hub that started this process ends."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Literal

from k8s_hub.culler.core.report import Report, SweepRecord
from k8s_hub.hub.errors import HubError

log = logging.getLogger(__name__)

RunSweep = Callable[[], Awaitable[Report]]
"""Runs one sweep over all servers."""

PARENT_CHECK_SECONDS = 1.0
"""A killed hub is replaced within seconds, and the new hub starts a culler of its own."""


SPREAD_PART = 0.8
"""`spread` distributes the stops over this part of the interval, so that the last ones can finish."""


class CullerService:
    """Sweeps all servers at every interval; survives hub restarts and failed sweeps.

    heartbeat: runs beside the sweeps until cancelled; on_sweep: called with the record of each finished sweep.
    """

    def __init__(
        self,
        dry_run: RunSweep,
        sweep: RunSweep,
        *,
        interval: timedelta,
        now: Callable[[], datetime],
        heartbeat: Callable[[], Awaitable[None]] | None = None,
        on_sweep: Callable[[SweepRecord], None] = lambda _record: None,
    ) -> None:
        self.on_sweep = on_sweep
        self._dry_run = dry_run
        self._sweep = sweep
        self._interval = interval
        self._now = now
        self._heartbeat = heartbeat

    async def run(self) -> None:
        """Look now, then sweep at every interval until cancelled. A sweep longer than the interval delays the next.

        A look is a sweep that stops no server, the dry run: the first sweep, and the one after a failure. A hub that has
        just come back does not know yet which users were active meanwhile. A look still shows mistakes in URL, token or
        scopes at once.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._sweep_at_intervals())

    async def once(self) -> Report | None:
        """Sweep once, now; return the report, or None if the sweep failed."""
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(self._beat())
            record = await self._supervised("sweep")
            beating.cancel()
        return record.report

    async def _beat(self) -> None:
        if self._heartbeat is None:
            return
        try:
            await self._heartbeat()
        except Exception:  # As below: the sweeps continue without it.
            log.exception("hub: heartbeat ended: the culler no longer notices outages between sweeps")

    async def _sweep_at_intervals(self) -> None:
        clock = asyncio.get_running_loop().time
        has_looked = False
        while True:
            begun = clock()
            record = await self._supervised("sweep" if has_looked else "look")
            has_looked = record.error is None
            await asyncio.sleep(max(0.0, begun + self._interval.total_seconds() - clock()))

    async def _supervised(self, kind: Literal["look", "sweep"]) -> SweepRecord:
        """Run one sweep and return its record; raise nothing."""
        clock = asyncio.get_running_loop().time
        begun, begun_at = clock(), self._now()
        report: Report | None = None
        error: str | None = None
        name, act = ("Sweep (stops nothing)", self._dry_run) if kind == "look" else ("Sweep", self._sweep)
        try:
            report = await act()
            log.info("%s: %s", name, report)
        except HubError as failure:
            error = str(failure)
            log.error("%s: failed: %s", name, error)  # noqa: TRY400 - the message is complete
        except Exception as failure:  # The supervisor: an error in one sweep must not end all further ones.
            # Without the error's message, which may contain a user's name.
            error = f"{type(failure).__name__}: an error in the culler or in a hook; see the log"
            log.exception("%s: failed: an error in the culler or in a hook", name)
        record = SweepRecord(kind=kind, begun=begun_at, seconds=clock() - begun, report=report, error=error)
        try:
            self.on_sweep(record)
        except Exception:  # As below: a listener must not end all further sweeps.
            log.exception("sweep: a listener failed")
        return record


async def parent_is_gone(parent: int) -> None:
    """Return when the parent process ``parent`` has ended.

    A killed hub leaves its managed services running, and starts new ones after its restart.
    """
    while os.getppid() == parent:  # noqa: ASYNC110 - the kernel's answer, not an event of this process
        await asyncio.sleep(PARENT_CHECK_SECONDS)


async def run_while(service: CullerService, hub_is_gone: Awaitable[None] | None) -> None:
    """Run the service until it is cancelled or the hub that manages it is gone; None: no hub manages it."""
    if hub_is_gone is None:
        await service.run()
        return
    async with asyncio.TaskGroup() as tasks:
        sweeping = tasks.create_task(service.run())
        await hub_is_gone
        log.info("hub: gone: this culler exits, because the next hub starts its own")
        sweeping.cancel()
