"""Limits: when something has lived long enough."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When something has lived long enough."""

    idle: timedelta
    age: timedelta | None = None  # whatever the activity; None: any age is fine
    busy: timedelta | None = None  # the idle limit while kernels are busy, if that is longer; None: none
    exempt: bool = False  # True: it is never stopped, nor its user deleted
    default_servers: bool = True  # False: default servers are exempt
    named_servers: bool = True  # False: named servers are exempt
    admins: bool = True  # False: admins are exempt from being deleted; their servers are not


def most_lenient(possible: Sequence[Limits]) -> Limits:
    """Return the longest of each limit, where one of several may hold."""
    return replace(
        possible[0],
        idle=max(each.idle for each in possible),
        age=_longest(each.age for each in possible),
        busy=_longest(each.busy for each in possible),
        exempt=any(each.exempt for each in possible),
    )


def _longest(durations: Iterable[timedelta | None]) -> timedelta | None:
    longest = timedelta()
    for duration in durations:
        if duration is None:  # no limit
            return None
        longest = max(longest, duration)
    return longest
