"""What is known about one server when it is judged; what is not known is None."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from k8s_hub.hub.users import Server, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a server itself says of its kernels and terminals."""

    busy: int  # kernels that execute something now
    connections: int  # to kernels: open tabs
    last_execution: datetime | None  # newest message of a kernel or output of a terminal; None: not known
    is_partial: bool = (
        False  # a part of the answer is missing: more may run, and the hub's word counts beside it
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A warning that was given to a server's user."""

    at: datetime
    since: datetime  # when the period began that it was about: activity begins another


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a verdict depends on, but for limits and time."""

    server: Server
    user: User
    work: Work | None = None  # None: was not asked, or gave no answer
    kept_until: datetime | None = None  # its user asked for it
    notice: Notice | None = None  # the last one


class Recollection(Protocol):
    """What is remembered of servers."""

    def kept_until(self, user: str, server: str) -> datetime | None:
        """Return until when a server's user asked to keep it; None: they did not."""

    def notice(self, user: str, server: str) -> Notice | None:
        """Return the last warning that its user got; None: none."""


def facts_of(
    server: Server, user: User, memory: Recollection | None = None, work: Work | None = None
) -> Facts:
    """Return all that is known about a server; without a memory, nothing is remembered."""
    return Facts(
        server=server,
        user=user,
        work=work,
        kept_until=None if memory is None else memory.kept_until(user.name, server.name),
        notice=None if memory is None else memory.notice(user.name, server.name),
    )
