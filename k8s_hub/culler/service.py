"""Sweep after sweep, never two at once, as long as the hub that started this process lives."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Literal

from k8s_hub.culler.core.report import PassRecord, Report
from k8s_hub.hub.errors import HubError

log = logging.getLogger(__name__)

Pass = Callable[[], Awaitable[Report]]
"""Goes over all servers once."""

PARENT_CHECK_SECONDS = 1.0
"""A killed hub is followed by the next within seconds, which starts a culler of its own."""


SPREAD_PART = 0.8
"""The part of the time between two sweeps over which `spread` distributes the stops, so that the last ones can finish."""


class CullerService:
    """Passes over all servers, again and again; outlives hub restarts and failing sweeps.

    heartbeat: runs for ever beside the passes; on_pass: is called with each pass when it is over.
    """

    def __init__(
        self,
        look: Pass,
        sweep: Pass,
        *,
        every: timedelta,
        now: Callable[[], datetime],
        heartbeat: Callable[[], Awaitable[None]] | None = None,
        on_pass: Callable[[PassRecord], None] = lambda _record: None,
    ) -> None:
        self.on_pass = on_pass
        self._look = look
        self._sweep = sweep
        self._every = every
        self._now = now
        self._heartbeat = heartbeat

    async def run(self) -> None:
        """Look now, sweep at every interval, until cancelled. A sweep that takes longer delays the next.

        The first look stops no server, nor does a look after a failed pass: a hub that has just come back does not know
        yet who was active while it was away. Mistakes in the URL, the token or its scopes show at once nevertheless.
        """
        async with asyncio.TaskGroup() as tasks:
            if self._heartbeat is not None:
                tasks.create_task(_beating(self._heartbeat))
            tasks.create_task(self._pass_after_pass())

    async def once(self) -> Report | None:
        """Sweep once, now; return its report, None where it failed."""
        return (await self._supervised("sweep")).report

    async def _pass_after_pass(self) -> None:
        clock = asyncio.get_running_loop().time
        has_looked = False
        while True:
            begun = clock()
            record = await self._supervised("sweep" if has_looked else "look")
            has_looked = record.error is None
            await asyncio.sleep(max(0.0, begun + self._every.total_seconds() - clock()))

    async def _supervised(self, kind: Literal["look", "sweep"]) -> PassRecord:
        """Do one pass, whatever it raises; return how it went."""
        clock = asyncio.get_running_loop().time
        begun, begun_at = clock(), self._now()
        report, error = await self._result(kind)
        record = PassRecord(kind=kind, begun=begun_at, seconds=clock() - begun, report=report, error=error)
        try:
            self.on_pass(record)
        except Exception:  # As below: a listener must not end all further passes.
            log.exception("pass: a listener failed")
        return record

    async def _result(self, kind: Literal["look", "sweep"]) -> tuple[Report | None, str | None]:
        name, act = ("First look (stops nothing)", self._look) if kind == "look" else ("Sweep", self._sweep)
        try:
            report = await act()
        except HubError as error:
            log.error("%s: failed: %s", name, error)  # noqa: TRY400 - the sentence says all
            return None, str(error)
        except Exception as error:  # The supervisor: a mistake in one sweep must not end all further ones.
            log.exception("%s: failed: an error in the culler or in a hook", name)
            return (
                None,
                f"{type(error).__name__}: an error in the culler or in a hook; see the log",
            )  # Its words may hold a user's name.
        log.info("%s: %s", name, report)
        return report, None


async def _beating(heartbeat: Callable[[], Awaitable[None]]) -> None:
    try:
        await heartbeat()
    except Exception:  # As above: without it, sweeps go on.
        log.exception("hub: heartbeat ended: the culler no longer notices outages between sweeps")


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
        log.info("hub: gone: this culler exits, because the next hub starts its own")
        sweeping.cancel()
