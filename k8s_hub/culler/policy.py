"""What to do with one server or one user, and why: decided from values, without effects."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self

from k8s_hub.culler.facts import Facts
from k8s_hub.hub.users import User

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""A time before it is a zero that somebody wrote for "unknown"."""


class Cause(StrEnum):
    """Why: a few words for reports, where verdicts are counted."""

    IDLE = "idle"
    OLD = "too old"
    IN_USE = "in use"
    BUSY = "busy"
    HELD = "kept by its user"
    WARNED = "warned"
    PENDING = "pending"
    NOT_READY = "not ready"
    UNKNOWN = "of unknown activity"
    EXEMPT = "exempt"
    SPARED = "spared by the arbiter hook"
    BRAKED = "held back by the brake"
    QUIET = "held back after an outage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """To cull or to keep; ``reason`` completes the sentence "the server ..."."""

    culls: bool
    cause: Cause
    reason: str
    since: datetime | None = None  # when the period began that ends it: its last activity, or its start
    due: datetime | None = None  # when it is to be stopped if nothing changes; None: not in sight

    @classmethod
    def cull(cls, cause: Cause, reason: str, *, since: datetime | None = None) -> Self:
        """Return the verdict that it goes."""
        return cls(culls=True, cause=cause, reason=reason, since=since)

    @classmethod
    def keep(
        cls, cause: Cause, reason: str, *, since: datetime | None = None, due: datetime | None = None
    ) -> Self:
        """Return the verdict that it stays."""
        return cls(culls=False, cause=cause, reason=reason, since=since, due=due)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When something has lived long enough."""

    idle: timedelta
    age: timedelta | None = None  # whatever the activity; None: any age is fine
    busy: timedelta | None = None  # how long a kernel that says nothing counts as busy; None: for ever
    exempt: bool = False  # True: it is never stopped, nor its user deleted
    default_servers: bool = True  # False: default servers are exempt
    named_servers: bool = True  # False: named servers are exempt
    admins: bool = True  # False: admins are exempt from being deleted; their servers are not


def judge(
    facts: Facts,
    limits: Limits,
    now: datetime,
    *,
    opinion: bool | None = None,
    notice: timedelta | None = None,
) -> Verdict:
    """Decide whether to stop one server.

    Without known activity, idle time counts from the start; without a known start, keep it. A time in the
    future keeps it too. ``opinion`` is what the arbiter hook said in place of the idle limit; None: no hook.
    ``notice`` is how long before a stop its user is warned; None: never.
    """
    verdict = _unwarned(facts, limits, now, opinion)
    if notice is None or not verdict.culls or _is_warned(facts, verdict, now - notice):
        return verdict
    begun = facts.notice.at if facts.notice and facts.notice.since == verdict.since else now
    return replace(verdict, culls=False, cause=Cause.WARNED, due=begun + notice)


def active_at(facts: Facts) -> datetime | None:
    """Return when a server was last active; None where that is not known.

    Where tabs are open, they look like activity to the hub: then it is what the server executed last.
    """
    seen = facts.server.last_activity or facts.server.started
    work = facts.work
    if seen is None or seen < EARLIEST or work is None or work.last_execution is None:
        return None if seen is None or seen < EARLIEST else seen
    if work.connections:
        return max(work.last_execution, facts.server.started or EARLIEST)
    return max(work.last_execution, seen)


def wants_notice(facts: Facts, verdict: Verdict, now: datetime, notice: timedelta) -> bool:
    """Return whether it is time to warn a server's user, who was not warned yet in this period."""
    is_told = facts.notice is not None and facts.notice.since == verdict.since
    return verdict.due is not None and verdict.due - now <= notice and not is_told


def judge_user(user: User, limits: Limits, now: datetime) -> Verdict:
    """Decide whether to delete one user who has no server left."""
    if limits.exempt:
        return Verdict.keep(Cause.EXEMPT, "is exempt by a rule")
    if user.admin and not limits.admins:
        return Verdict.keep(Cause.EXEMPT, "is an admin")
    return _too_old(user.created, limits, now, "created") or _by_time(
        user.last_activity or user.created, limits, now
    )


def _unwarned(facts: Facts, limits: Limits, now: datetime, opinion: bool | None) -> Verdict:
    server = facts.server
    if server.pending is not None:
        return Verdict.keep(Cause.PENDING, f"has a pending {server.pending}")
    if not server.ready:
        return Verdict.keep(Cause.NOT_READY, "is not ready")
    if not (limits.named_servers if server.name else limits.default_servers):
        return Verdict.keep(Cause.EXEMPT, "is of a kind that is not culled")
    if limits.exempt:
        return Verdict.keep(Cause.EXEMPT, "is exempt by a rule")
    verdict = _too_old(server.started, limits, now, "started") or _by_activity(facts, limits, now, opinion)
    end = _end(server.started, limits)
    if verdict.culls or end is None or (verdict.due is not None and verdict.due <= end):
        return verdict
    return replace(verdict, since=server.started, due=end)  # its age ends it first


def _by_activity(facts: Facts, limits: Limits, now: datetime, opinion: bool | None) -> Verdict:
    since = active_at(facts)
    if since is None:
        return Verdict.keep(Cause.UNKNOWN, "has no known activity or start")
    if facts.kept_until is not None and facts.kept_until > now:
        due = max(facts.kept_until, since + limits.idle)
        return Verdict.keep(
            Cause.HELD,
            f"is kept by its user for {_whole_seconds(facts.kept_until - now)}",
            since=since,
            due=due,
        )
    if (work := facts.work) is not None and work.busy and work.last_execution is not None:
        silent = now - work.last_execution
        if limits.busy is None or silent < limits.busy:
            until = None if limits.busy is None else work.last_execution + limits.busy
            return Verdict.keep(Cause.BUSY, f"runs {work.busy} busy kernels", since=since, due=until)
    return _by_time(since, limits, now) if opinion is None else _by_opinion(since, opinion=opinion)


def _end(started: datetime | None, limits: Limits) -> datetime | None:
    return None if started is None or started < EARLIEST or limits.age is None else started + limits.age


def _is_warned(facts: Facts, verdict: Verdict, latest: datetime) -> bool:
    notice = facts.notice
    return notice is not None and notice.since == verdict.since and notice.at <= latest


def _by_time(since: datetime | None, limits: Limits, now: datetime) -> Verdict:
    if since is None or since < EARLIEST:
        return Verdict.keep(Cause.UNKNOWN, "has no known activity or start")
    idle = now - since
    if idle >= limits.idle:
        return Verdict.cull(Cause.IDLE, f"was idle for {_whole_seconds(idle)}", since=since)
    if idle < timedelta():
        return Verdict.keep(Cause.UNKNOWN, f"was active in the future, {_whole_seconds(-idle)} from now")
    return Verdict.keep(
        Cause.IN_USE, f"was active {_whole_seconds(idle)} ago", since=since, due=since + limits.idle
    )


def _too_old(begun: datetime | None, limits: Limits, now: datetime, word: str) -> Verdict | None:
    if begun is None or begun < EARLIEST or limits.age is None or now - begun < limits.age:
        return None
    return Verdict.cull(Cause.OLD, f"was {word} {_whole_seconds(now - begun)} ago", since=begun)


def _by_opinion(since: datetime, *, opinion: bool) -> Verdict:
    if opinion:
        return Verdict.cull(Cause.IDLE, "was idle in the eyes of the arbiter hook", since=since)
    return Verdict.keep(Cause.SPARED, "was spared by the arbiter hook", since=since)


def _whole_seconds(duration: timedelta) -> timedelta:
    return timedelta(seconds=int(duration.total_seconds()))
