"""Extensions of servers, and their limits: pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from k8s_hub.text import Message, format_duration, message_text

WEEK = timedelta(days=7)

CLOCK_STEP = timedelta(minutes=1)
"""A clock that is set back by less than this is no error."""


class ExtensionRefused(Exception):
    """An extension exceeds the limits, or could not be saved; the message is for the user."""

    def __init__(self, *message: str | datetime) -> None:
        super().__init__(message_text(message))
        self.message: Message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionLimits:
    """The limits of extensions."""

    longest: timedelta = timedelta(hours=8)  # from the request on
    per_week: int = 5  # per user, in any seven days; 0: no extensions


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """One extension of a server. A cancelled extension ends early, and still counts."""

    server: str  # "" is the user's default server
    at: datetime  # the time of the request
    until: datetime
    by_admin: bool = False  # does not count for the user's quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The extensions that a user has left now."""

    left: int  # extensions within seven days
    again: datetime | None = None  # the time of the next, with none left; None also if extensions are off


def extended_until(
    extensions: Sequence[Extension], server: str, limits: ExtensionLimits, now: datetime
) -> datetime | None:
    """Return the end of a server's extension, or None. A lowered limit also shortens existing extensions."""
    ends = (min(each.until, each.at + limits.longest) for each in extensions if each.server == server)
    return max((end for end in ends if end > now), default=None)


def quota(extensions: Sequence[Extension], limits: ExtensionLimits, now: datetime) -> Quota:
    """Return the quota that these extensions leave to their user."""
    counted = sorted(each.at for each in extensions if now - each.at < WEEK and not each.by_admin)
    left = max(0, limits.per_week - len(counted))
    again = counted[-limits.per_week] + WEEK if limits.per_week and not left else None
    return Quota(left=left, again=again)


def can_extend(limits: ExtensionLimits, *, by_admin: bool) -> bool:
    """Return whether extensions are on."""
    return bool(limits.longest) and (by_admin or bool(limits.per_week))


def used_up(limits: ExtensionLimits, again: datetime) -> Message:
    """Return the message for a user who has no extension left before ``again``."""
    used = "your one extension" if limits.per_week == 1 else f"all {limits.per_week} extensions"
    return (f"You have used {used} of these seven days. You can extend again from ", again, ".")


def extend(
    extensions: Sequence[Extension],
    server: str,
    duration: timedelta,
    limits: ExtensionLimits,
    now: datetime,
    *,
    by_admin: bool = False,
) -> tuple[Extension, ...]:
    """Return the user's extensions with a new one, from now on; raise ExtensionRefused beyond the limits.

    by_admin: the request is an admin's, without the limit ``per_week``.
    """
    again = quota(extensions, limits, now).again
    if not can_extend(limits, by_admin=by_admin):
        raise ExtensionRefused("Your administrator has turned extensions off.")
    if duration <= timedelta():
        raise ExtensionRefused("An extension must be longer than zero: choose one of the buttons.")
    if duration > limits.longest:
        raise ExtensionRefused(f"An extension can last at most {format_duration(limits.longest)}.")
    until = extended_until(extensions, server, limits, now)
    if until is not None and until >= now + duration:
        raise ExtensionRefused("The server is already extended until ", until, ". Choose a longer extension.")
    if again is not None and not by_admin:
        raise ExtensionRefused(*used_up(limits, again))
    return (*extensions, Extension(server=server, at=now, until=now + duration, by_admin=by_admin))


def release(extensions: Sequence[Extension], server: str, now: datetime) -> tuple[Extension, ...]:
    """Return the user's extensions after the end of this server's extension, which still counts."""
    return tuple(
        replace(each, until=min(each.until, now)) if each.server == server else each for each in extensions
    )


def settled(extensions: Sequence[Extension], now: datetime) -> tuple[Extension, ...]:
    """Return the user's extensions; one from the future, made under a wrong clock, begins now.

    Otherwise it would apply and count for too long.
    """
    return tuple(
        replace(each, at=now, until=now + max(each.until - each.at, timedelta()))
        if each.at - now > CLOCK_STEP
        else each
        for each in extensions
    )


def lasting(extensions: Sequence[Extension], now: datetime) -> tuple[Extension, ...]:
    """Return the extensions that have not ended, or still count."""
    return tuple(each for each in extensions if each.until > now or now - each.at < WEEK)
