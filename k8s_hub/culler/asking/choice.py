"""Which servers are asked what they run, and in which order: the second source is bounded.

An open tab makes a server look active to the hub, and a silent kernel makes it look idle. So every server is of
interest that runs for longer than its idle limit, unless something else decides about it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from k8s_hub.culler.judging.facts import Facts
from k8s_hub.culler.judging.policy import EARLIEST, Cause, judge
from k8s_hub.culler.ruling.limits import Limits
from k8s_hub.hub.users import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A server that may be asked."""

    server: Server
    looks_idle: bool  # to the hub: it is stopped unless it says something else
    asked_at: datetime | None  # None: never yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who is asked in this sweep."""

    asked: tuple[Server, ...] = ()
    waiting: frozenset[Server] = (
        frozenset()
    )  # they look idle but found no place, and must not be stopped unheard


def candidate(facts: Facts, limits: Limits, now: datetime, asked_at: datetime | None) -> Candidate | None:
    """Return a server as a candidate; None where no answer of it would matter."""
    verdict = judge(facts, limits, now)
    if verdict.cause not in {Cause.IDLE, Cause.IN_USE, Cause.HELD}:  # when a wish ends, its own word counts
        return None
    begun = facts.server.started or facts.server.last_activity
    if begun is None or now - begun < limits.idle:
        return None
    return Candidate(server=facts.server, looks_idle=verdict.culls, asked_at=asked_at)


def choose(candidates: Iterable[Candidate], places: int) -> Choice:
    """Choose who finds a place: those that look idle first, then those that were not asked for longest."""
    ordered = sorted(candidates, key=lambda each: (not each.looks_idle, each.asked_at or EARLIEST))
    return Choice(
        asked=tuple(each.server for each in ordered[:places]),
        waiting=frozenset(each.server for each in ordered[places:] if each.looks_idle),
    )
