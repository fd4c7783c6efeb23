"""Outages of the hub: after one, its record of activity is stale, and the culler stops no server for a while.

Servers and the proxy cannot report activity while the hub is away. They report again within one activity interval.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from k8s_hub.culler.core.decision import Decision
from k8s_hub.culler.core.policy import Cause, Facts
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.state import StateStore
from k8s_hub.hub.errors import HubError
from k8s_hub.objects import timestamps

log = logging.getLogger(__name__)

AWAY = "after its outage, the hub does not know yet which users were active"
BRAKED = "the brake holds it: too many servers that were just in use would stop at once"
"""Why stops are held back: these complete the reason of a decision."""

HEARTBEAT_SECONDS = 30.0
"""Interval of the heartbeat requests. One costs the hub less than a millisecond."""

SHORTEST = timedelta(seconds=2 * HEARTBEAT_SECONDS)
"""One missed heartbeat is not an outage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """The last answer of the hub, and the end of the grace period after an outage."""

    last: datetime | None = None  # None: no answer yet
    grace_until: datetime | None = None  # the culler stops no server before

    def answered(self, now: datetime, longest: timedelta | None) -> "Contact":
        """Return the contact after an answer. Silence longer than ``longest`` was an outage; None: never.

        A grace period with more than ``longest`` left comes from a clock that was set back since. It starts again.
        """
        if longest is not None and self.grace_until is not None and self.grace_until - now > longest:
            return Contact(last=now, grace_until=now + longest)
        if longest is None or self.last is None or now - self.last <= longest:
            return replace(self, last=now)
        return Contact(last=now, grace_until=now + longest)


class Outages:
    """Owns the contact with the hub; ``store`` has the contact before this process started.

    longest: the activity interval. Longer silence is an outage, if it also exceeds `SHORTEST`; None: no outages.
    """

    def __init__(self, longest: timedelta | None = None, store: StateStore | None = None) -> None:
        self._longest = None if longest is None else max(longest, SHORTEST)
        self._store = store
        self._contact = (
            Contact() if store is None else Contact(last=store.last_contact, grace_until=store.grace_until)
        )

    def answered(self, now: datetime) -> None:
        """Note an answer of the hub."""
        before, self._contact = self._contact, self._contact.answered(now, self._longest)
        if self._contact.grace_until != before.grace_until:
            log.warning(
                "hub: back after an outage since %s: the culler stops no server before %s, "
                "so that servers can report activity first",
                before.last and timestamps.format_seconds(before.last),
                self._contact.grace_until and timestamps.format_seconds(self._contact.grace_until),
            )
        if self._store is not None:
            self._store.save_contact(now, self._contact.grace_until)

    def held_back(self, decision: Decision, now: datetime, notice: timedelta | None = None) -> Decision:
        """Return the decision; during the grace period, the server does not stop before its end.

        notice: the time between warning and stop. Nobody is warned during the grace period.
        """
        until = self.grace_until(now)
        if until is None:
            return decision
        if decision.verdict.culls:
            return decision.held_back(Cause.OUTAGE_GRACE, AWAY, until)
        return decision.not_before(until if decision.is_warned or notice is None else until + notice)

    def grace_until(self, now: datetime) -> datetime | None:
        """Return the end of the current grace period, or None."""
        until = self._contact.grace_until
        if self._longest is None or until is None or now >= until:
            return None
        return min(until, now + self._longest)  # a later end comes from a clock that was set back since


async def decide_as_swept(
    decider: Decider, facts: Facts, now: datetime, *, outages: Outages, store: StateStore
) -> Decision:
    """Decide as a sweep does: outages and the brake may hold a stop back."""
    decision = outages.held_back(await decider.decide(facts, now), now, decider.notice)
    until = store.braked_until(facts.server.user, facts.server.name)
    if until is None or not decision.verdict.culls:
        return decision
    return decision.held_back(Cause.BRAKE, BRAKED, until)


async def heartbeat(
    ask: Callable[[], Awaitable[object]], outages: Outages, now: Callable[[], datetime]
) -> None:
    """Notice outages between and during sweeps, until cancelled; ``ask`` is `HubApi.version`."""
    while True:
        try:
            await ask()
            outages.answered(now())
        except HubError as error:
            log.debug("hub: did not answer: %s", error)
        except Exception:  # Go on: without heartbeats, the time between two sweeps would look like an outage.
            log.exception("hub: heartbeat failed")
        await asyncio.sleep(HEARTBEAT_SECONDS)
