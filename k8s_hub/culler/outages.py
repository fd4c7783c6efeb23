"""Outages of the hub: after one, its record of activity is stale, and the culler stops no server for a while.

While the hub is away, neither servers nor the proxy can report activity to it. They report again within one interval.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from k8s_hub.culler.core.decision import Decision
from k8s_hub.culler.core.policy import Cause
from k8s_hub.hub.errors import HubError
from k8s_hub.objects import timestamps

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 30.0
"""Between two questions whether the hub is there. One costs it less than a millisecond."""

SHORTEST = timedelta(seconds=2 * HEARTBEAT_SECONDS)
"""A silence of one heartbeat is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """When the hub answered last, and until when nothing is stopped because it was silent before."""

    last: datetime | None = None  # None: never yet
    grace_until: datetime | None = None

    def answered(self, now: datetime, longest: timedelta | None) -> "Contact":
        """Return what an answer makes of it; a silence longer than ``longest`` was an outage; None: none is.

        A grace that would last longer than that was begun by a clock that has been set back since, and begins anew.
        """
        if longest is not None and self.grace_until is not None and self.grace_until - now > longest:
            return Contact(last=now, grace_until=now + longest)
        if longest is None or self.last is None or now - self.last <= longest:
            return replace(self, last=now)
        return Contact(last=now, grace_until=now + longest)


class ContactStore(Protocol):
    """Remembers the last contact across restarts of this process."""

    @property
    def last_contact(self) -> datetime | None:
        """When the hub last answered; None: never yet."""

    @last_contact.setter
    def last_contact(self, at: datetime) -> None:
        """Remember an answer."""


class Outages:
    """Owns the contact with the hub; ``store`` may know of the time before this process.

    longest: the activity interval; a longer silence is an outage, if it is one of `SHORTEST` at least; None: no silence is.
    """

    def __init__(self, longest: timedelta | None = None, store: ContactStore | None = None) -> None:
        self._longest = None if longest is None else max(longest, SHORTEST)
        self._store_of_contact = store
        self._contact = Contact(last=None if store is None else store.last_contact)

    def answered(self, now: datetime) -> None:
        """Note an answer of the hub."""
        before, self._contact = self._contact, self._contact.answered(now, self._longest)
        if self._contact.grace_until != before.grace_until:
            log.warning(
                "hub: did not answer since %s: the culler stops no server before %s, so that all can report activity first",
                before.last and timestamps.format_seconds(before.last),
                self._contact.grace_until and timestamps.format_seconds(self._contact.grace_until),
            )
        if self._store_of_contact is not None:
            self._store_of_contact.last_contact = now

    def held_back(self, decision: Decision, now: datetime) -> Decision:
        """Return the decision as it holds after an outage: to stop nothing yet."""
        until = self.grace_until(now)
        if until is None or not decision.verdict.culls:
            return decision
        return decision.held_back(
            Cause.OUTAGE_GRACE, "the hub was away and does not know yet who was active meanwhile"
        )

    def grace_until(self, now: datetime) -> datetime | None:
        """Return until when nothing is stopped; None: there was no outage of late."""
        until = self._contact.grace_until
        return until if until is not None and now < until else None


async def heartbeat(
    ask: Callable[[], Awaitable[object]], outages: Outages, now: Callable[[], datetime]
) -> None:
    """Notice outages between and during the sweeps, until cancelled; ``ask`` is `HubApi.version`."""
    while True:
        try:
            await ask()
            outages.answered(now())
        except HubError as error:
            log.debug("hub: did not answer: %s", error)
        except Exception:  # Without further ones, the time between two sweeps would be an outage, for ever.
            log.exception("hub: heartbeat failed")
        await asyncio.sleep(HEARTBEAT_SECONDS)
