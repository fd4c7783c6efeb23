"""What to do with one server or one user, and why: decided from values, without effects."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from k8s_hub.hub.users import Server, User


class Cause(StrEnum):
    """Why: a few words for reports, where verdicts are counted."""

    IDLE = "idle"
    OLD = "too old"
    IN_USE = "in use"
    PENDING = "pending"
    NOT_READY = "not ready"
    UNKNOWN = "of unknown activity"
    EXEMPT = "exempt"
    SPARED = "spared by the arbiter hook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """To cull or to keep; ``reason`` completes the sentence "the server ..."."""

    culls: bool
    cause: Cause
    reason: str

    @classmethod
    def cull(cls, cause: Cause, reason: str) -> Self:
        """Return the verdict that it goes."""
        return cls(culls=True, cause=cause, reason=reason)

    @classmethod
    def keep(cls, cause: Cause, reason: str) -> Self:
        """Return the verdict that it stays."""
        return cls(culls=False, cause=cause, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When something has lived long enough."""

    idle: timedelta
    age: timedelta | None = None  # whatever the activity; None: any age is fine
    default_servers: bool = True  # False: default servers are exempt
    named_servers: bool = True  # False: named servers are exempt
    admins: bool = True  # False: admins are exempt from being deleted; their servers are not


def judge(server: Server, limits: Limits, now: datetime, *, opinion: bool | None = None) -> Verdict:
    """Decide whether to stop one server.

    Without known activity, idle time counts from the start; without a known start, keep it. A time in the
    future keeps it too. ``opinion`` is what the arbiter hook said in place of the idle limit; None: no hook.
    """
    if server.pending is not None:
        return Verdict.keep(Cause.PENDING, f"has a pending {server.pending}")
    if not server.ready:
        return Verdict.keep(Cause.NOT_READY, "is not ready")
    if not (limits.named_servers if server.name else limits.default_servers):
        return Verdict.keep(Cause.EXEMPT, "is of a kind that is not culled")
    if opinion is not None:
        return _too_old(server.age(now), limits, "started") or _by_opinion(opinion=opinion)
    return _by_time(server.idle_for(now), server.age(now), limits, "started")


def judge_user(user: User, limits: Limits, now: datetime) -> Verdict:
    """Decide whether to delete one user who has no server left."""
    if user.admin and not limits.admins:
        return Verdict.keep(Cause.EXEMPT, "is an admin")
    return _by_time(user.idle_for(now), user.age(now), limits, "created")


def _by_time(idle: timedelta | None, age: timedelta | None, limits: Limits, begun: str) -> Verdict:
    if too_old := _too_old(age, limits, begun):
        return too_old
    if idle is None:
        return Verdict.keep(Cause.UNKNOWN, "has no known activity or start")
    if idle >= limits.idle:
        return Verdict.cull(Cause.IDLE, f"was idle for {_whole_seconds(idle)}")
    if idle < timedelta():
        return Verdict.keep(Cause.UNKNOWN, f"was active in the future, {_whole_seconds(-idle)} from now")
    return Verdict.keep(Cause.IN_USE, f"was active {_whole_seconds(idle)} ago")


def _too_old(age: timedelta | None, limits: Limits, begun: str) -> Verdict | None:
    if age is None or limits.age is None or age < limits.age:
        return None
    return Verdict.cull(Cause.OLD, f"was {begun} {_whole_seconds(age)} ago")


def _by_opinion(*, opinion: bool) -> Verdict:
    if opinion:
        return Verdict.cull(Cause.IDLE, "was idle in the eyes of the arbiter hook")
    return Verdict.keep(Cause.SPARED, "was spared by the arbiter hook")


def _whole_seconds(duration: timedelta) -> timedelta:
    return timedelta(seconds=int(duration.total_seconds()))
