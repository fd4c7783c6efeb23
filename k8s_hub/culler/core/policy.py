"""The policy: decides whether to stop a server or delete a user, and why; pure functions.

A server is due when it exceeds its idle limit, or when it reaches its maximum runtime, whichever comes first. Running
work and extensions postpone the idle limit, never the maximum runtime.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol, Self

from k8s_hub.culler.core.rules import Limits
from k8s_hub.hub.users import Server, ServerKey, User
from k8s_hub.text import format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a server reports about its kernels and terminals."""

    busy: int  # kernels that execute code now
    connections: int  # open connections to kernels: tabs
    last_execution: datetime | None  # the last message of a kernel or output of a terminal; None: unknown
    is_partial: bool = False  # a part of the answer is missing: the activity that the hub reports also counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A warning to the user of a server."""

    at: datetime
    since: datetime  # the start of the idle period that it is about: activity starts a new one


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a verdict depends on, except limits and time."""

    server: Server
    user: User
    work: Work | None = None  # None: not asked, or no answer
    extended_until: datetime | None = None
    notice: Notice | None = None  # the last warning


class HoldStore(Protocol):
    """Stores extensions and warnings."""

    def extended_until(self, user: str, server: str) -> datetime | None:
        """Return the end of a server's extension; None: it has none."""

    def notice(self, user: str, server: str) -> Notice | None:
        """Return the last warning to its user, or None."""


def facts_of(server: Server, user: User, store: HoldStore | None = None, work: Work | None = None) -> Facts:
    """Return the facts about a server; without a store, it has no extension and no warning."""
    return Facts(
        server=server,
        user=user,
        work=work,
        extended_until=None if store is None else store.extended_until(user.name, server.name),
        notice=None if store is None else _notice_of(server, store.notice(user.name, server.name)),
    )


def _notice_of(server: Server, notice: Notice | None) -> Notice | None:
    """Return a warning, but none from before the server's start: it was about an earlier run."""
    is_old = notice is not None and server.started is not None and notice.at < server.started
    return None if is_old else notice


EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""An earlier time is a zero that stands for "unknown"."""

CLOCK_SKEW = timedelta(days=1)
"""A server's clock may be ahead by this much. A time further ahead does not count."""


class Cause(StrEnum):
    """The cause of a verdict, as reports, metrics and pages show it."""

    IDLE = "idle"
    OLD = "too old"
    IN_USE = "in use"
    BUSY = "busy"
    EXTENDED = "extended"
    WARNED = "warned"
    PENDING = "pending"
    NOT_READY = "not ready"
    UNKNOWN = "activity unknown"
    EXEMPT = "exempt"
    SPARED = "kept by the arbiter hook"
    BRAKE = "held back by the brake"
    OUTAGE_GRACE = "held back after an outage"
    UNPROBED = "not yet asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """To stop or to keep; ``reason`` completes the sentence "it ..."."""

    culls: bool
    cause: Cause
    reason: str
    since: datetime | None = None  # its last activity or start: the period until the deadline begins then
    deadline: datetime | None = None  # when it is due if nothing changes; None: not foreseen

    @property
    def word(self) -> str:
        """The verdict as one word, for records and pages."""
        return "stop" if self.culls else "keep"

    @classmethod
    def cull(cls, cause: Cause, reason: str) -> Self:
        """Return a verdict to stop."""
        return cls(culls=True, cause=cause, reason=reason)

    @classmethod
    def keep(cls, cause: Cause, reason: str) -> Self:
        """Return a verdict to keep."""
        return cls(culls=False, cause=cause, reason=reason)

    def held_back(self, cause: Cause, why: str, until: datetime | None = None) -> Self:
        """Return the verdict to keep what is due this time; `Decision.held_back` has the arguments."""
        reason, deadline = f"{self.reason}, but {why}", until or self.deadline
        return replace(self, culls=False, cause=cause, reason=reason, deadline=deadline)


def evaluate(
    facts: Facts,
    limits: Limits,
    now: datetime,
    *,
    opinion: bool | None = None,
    notice: timedelta | None = None,
) -> Verdict:
    """Decide whether to stop one server.

    Without known activity, idle time counts from the start. Without a known start, or with a time in the future,
    keep the server. opinion: the answer of the arbiter hook, which replaces the idle limit; None: no hook.
    notice: the time between warning and stop; None: no warnings.
    """
    server = facts.server
    if spared := _by_state(server, limits):
        return spared
    verdict = _by_age(
        _by_activity(facts, limits, now, opinion), server.started, limits, now, word="started", noun="runtime"
    )
    if notice is None or not verdict.culls:
        return verdict
    return _unless_warned(verdict, warned_at(facts, verdict, now, notice), now, notice)


def active_at(facts: Facts, now: datetime) -> datetime | None:
    """Return when a server was last active, maybe in the future; None: unknown.

    To the hub, open tabs look like activity. With open tabs and a complete answer of the server, only the last
    execution counts.
    """
    seen = _seen_at(facts.server)
    executed = _executed_at(facts.work, now)
    if seen is None or seen > now or executed is None:
        return seen
    if facts.work is not None and facts.work.connections and not facts.work.is_partial:
        return max(executed, facts.server.started or executed)
    return max(executed, seen)


def runtime_ends(begun: datetime | None, limits: Limits) -> datetime | None:
    """Return when a server or user of this start reaches the maximum; None: no maximum, or an unknown start."""
    begun = _known(begun)
    return None if begun is None or limits.max_age is None else _plus(begun, limits.max_age)


def wants_notice(facts: Facts, verdict: Verdict, now: datetime, notice: timedelta) -> bool:
    """Return whether to warn a server's user now: the stop is near, and no warning about it was given."""
    if verdict.culls or verdict.deadline is None or verdict.cause is Cause.UNPROBED:
        return False
    if verdict.deadline - now > notice:
        return False
    return warned_at(facts, verdict, now, notice) is None


def evaluate_user(user: User, limits: Limits, now: datetime) -> Verdict:
    """Decide whether to delete one user without servers."""
    if limits.exempt:
        return Verdict.keep(Cause.EXEMPT, _exempt(limits))
    if user.admin and not limits.admins:
        return Verdict.keep(Cause.EXEMPT, "is an admin")
    since = _known(user.created if user.last_activity is None else user.last_activity)
    if since is None:
        verdict = Verdict.keep(Cause.UNKNOWN, "has no known activity or start")
    elif since > now:
        ahead = format_duration(since - now)
        verdict = Verdict.keep(Cause.UNKNOWN, f"was active in the future, {ahead} from now")
    else:
        verdict = _by_idle_limit(now - since, limits.timeout, "was active", "was idle for")
        verdict = replace(verdict, since=since, deadline=_plus(since, limits.timeout))
    return _by_age(verdict, user.created, limits, now, word="created", noun="age")


def foreseen_stop(facts: Facts, limits: Limits, deadline: datetime, now: datetime) -> tuple[Cause, str]:
    """Return why the culler will stop a server at ``deadline`` if nothing changes, with a reason as of now."""
    end = runtime_ends(facts.server.started, limits)
    if end is not None and end <= deadline:
        return Cause.OLD, f"reaches its maximum runtime of {format_duration(limits.max_age or timedelta())}"
    since = active_at(facts, now) or now
    _, unused = _words(facts, since)
    reason = f"{unused} {format_duration(now - since)}"
    is_extended = _extended_until(facts, limits) is not None
    return Cause.IDLE, f"{reason}, and its extension ends" if is_extended else reason


# --- The verdict, step by step ---

_PENDING = {"spawn": "is starting", "stop": "is stopping"}


def _by_state(server: Server, limits: Limits) -> Verdict | None:
    if server.pending is not None:
        return Verdict.keep(Cause.PENDING, _PENDING.get(server.pending, f"has a pending {server.pending}"))
    if not server.ready:
        return Verdict.keep(Cause.NOT_READY, "is not ready")
    if not (limits.named_servers if server.name else limits.default_servers):
        kind = "named" if server.name else "default"
        return Verdict.keep(Cause.EXEMPT, f"is a {kind} server, and cull_{kind}_servers is false")
    if limits.exempt:
        return Verdict.keep(Cause.EXEMPT, _exempt(limits))
    return None


def _exempt(limits: Limits) -> str:
    may_be = "may be exempt by a rule that the culler cannot check"
    return may_be if limits.may_be_exempt else "is exempt by a rule"


def _by_activity(facts: Facts, limits: Limits, now: datetime, opinion: bool | None) -> Verdict:
    since = active_at(facts, now)
    if since is None:
        return Verdict.keep(Cause.UNKNOWN, "has no known activity or start")
    used, unused = _words(facts, since)
    if since > now:
        return Verdict.keep(Cause.UNKNOWN, f"{used} in the future, {format_duration(since - now)} from now")

    limit = _limit(facts.work, limits)
    deadline = None if limit is None else _plus(since, limit)
    extended_until = _extended_until(facts, limits)
    if deadline is not None and extended_until is not None:
        deadline = max(deadline, extended_until)

    idle = now - since
    if extended_until is not None and extended_until > now:
        verdict = Verdict.keep(
            Cause.EXTENDED, f"has an extension for another {format_duration(extended_until - now)}"
        )
    elif facts.work is not None and facts.work.busy and (limit is None or idle < limit):
        verdict = Verdict.keep(Cause.BUSY, f"{_busy(facts.work)}, without output for {format_duration(idle)}")
    elif opinion is not None:
        by_hook = (
            Verdict.cull(Cause.IDLE, "is idle according to the arbiter hook")
            if opinion
            else Verdict.keep(Cause.SPARED, "is not idle according to the arbiter hook")
        )
        return replace(by_hook, since=since)  # only the hook knows the deadline
    else:
        verdict = _by_idle_limit(idle, limits.timeout, used, unused)
    return replace(verdict, since=since, deadline=deadline)


def _by_idle_limit(idle: timedelta, limit: timedelta, used: str, unused: str) -> Verdict:
    if idle >= limit:
        return Verdict.cull(Cause.IDLE, f"{unused} {format_duration(idle)}")
    return Verdict.keep(Cause.IN_USE, f"{used} {format_duration(idle)} ago")


def _by_age(
    verdict: Verdict, begun: datetime | None, limits: Limits, now: datetime, *, word: str, noun: str
) -> Verdict:
    """Apply the maximum runtime to a verdict: it overrides everything else."""
    end = runtime_ends(begun, limits)
    if begun is None or end is None:
        return verdict
    ends_first = not verdict.culls if verdict.deadline is None else end < verdict.deadline
    if ends_first:
        verdict = replace(verdict, since=begun, deadline=end)
    if now < end:
        return verdict
    limit = format_duration(limits.max_age or timedelta())
    reason = f"was {word} {format_duration(now - begun)} ago, and its maximum {noun} is {limit}"
    return replace(verdict, culls=True, cause=Cause.OLD, reason=reason)


def _unless_warned(verdict: Verdict, given_at: datetime | None, now: datetime, notice: timedelta) -> Verdict:
    if given_at is None:
        wait = "but the culler sends a warning first"
    elif now - given_at < notice:
        wait = f"but the culler sent a warning only {format_duration(now - given_at)} ago"
    else:
        return verdict
    return replace(
        verdict,
        culls=False,
        cause=Cause.WARNED,
        reason=f"{verdict.reason}, {wait}",
        deadline=_plus(given_at or now, notice),
    )


def warned_at(facts: Facts, verdict: Verdict, now: datetime, notice: timedelta) -> datetime | None:
    """Return the time of the warning about this stop, or None.

    Activity after a warning makes it void. So does an extension that postpones the stop, since the warning was too
    early then.
    """
    given = facts.notice
    if given is None or given.since != verdict.since or given.at > now:
        return None
    was_too_early = verdict.deadline is not None and verdict.deadline - given.at > notice
    return None if was_too_early else given.at


# --- Its parts ---


def _extended_until(facts: Facts, limits: Limits) -> datetime | None:
    """Return the end of its extension, at most the end of its maximum runtime."""
    end = runtime_ends(facts.server.started, limits)
    ends = [each for each in (facts.extended_until, end) if each is not None]
    return None if facts.extended_until is None else min(ends)


def _limit(work: Work | None, limits: Limits) -> timedelta | None:
    """Return how long it may be silent; None: no limit."""
    if work is None or not work.busy:
        return limits.timeout
    return None if limits.busy_limit is None else max(limits.timeout, limits.busy_limit)


def _seen_at(server: Server) -> datetime | None:
    """Return the last activity that the hub reports, or the start without one."""
    return _known(server.started if server.last_activity is None else server.last_activity)


def _executed_at(work: Work | None, now: datetime) -> datetime | None:
    executed = None if work is None else _known(work.last_execution)
    return None if executed is None or executed - now > CLOCK_SKEW else executed


def _words(facts: Facts, since: datetime) -> tuple[str, str]:
    """Return two phrases: what it did at this time, and what it has not done since; by hub or server, as reported."""
    work, server = facts.work, facts.server
    is_hubs_word = since == _seen_at(server)
    if is_hubs_word:
        used, unused = "was active", "was idle for"
    else:
        used = "was started" if since == server.started else "executed something"
        unused = "executed nothing for"
    if work is not None and work.busy:
        unused = f"{_busy(work)}, without output for"
    elif work is not None and work.connections and not is_hubs_word:
        unused = f"has open tabs, but {unused}"
    return used, unused


def _busy(work: Work) -> str:
    return "runs a busy kernel" if work.busy == 1 else f"runs {work.busy} busy kernels"


def _known(moment: datetime | None) -> datetime | None:
    return None if moment is None or moment < EARLIEST else moment


def _plus(moment: datetime, duration: timedelta) -> datetime | None:
    """Return the sum; None: later than the last possible date."""
    try:
        return moment + duration
    except OverflowError:
        return None


AT_LEAST = 10
"""The brake ignores fewer servers: half of a small hub often leaves together."""


def held_by_brake(
    to_stop: Collection[ServerKey], in_use_before: frozenset[ServerKey], running: int, percent: int
) -> frozenset[ServerKey]:
    """Return the servers of ``to_stop`` that the brake holds back this time.

    in_use_before: servers that the sweep before saw in use; running: the number of running servers;
    percent: the part of them that may stop although they were in use before; 0: no limit.
    """
    sudden = in_use_before & frozenset(to_stop)
    is_too_much = percent > 0 and len(sudden) >= AT_LEAST and len(sudden) * 100 > running * percent
    return sudden if is_too_much else frozenset()
