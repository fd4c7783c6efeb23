"""Whom a sweep works with, as it sees them: the hub, the servers, the memory, and those who are told."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Protocol

from k8s_hub.culler.judging.decision import Action, Decision, UserDecision
from k8s_hub.culler.judging.facts import Notice, Recollection, Work
from k8s_hub.hub.api import Page, State
from k8s_hub.hub.routes import ServerKey
from k8s_hub.hub.users import Server, User

Sink = Callable[[Decision, Action], None]
"""Is told of every decision, once its server's fate is known."""

UserSink = Callable[[UserDecision, Action], None]
"""Is told of each user whose time is up, once their fate is known."""


class Hub(Protocol):
    """What a sweep needs of the hub."""

    async def page(self, *, offset: int, limit: int, state: State) -> Page:
        """As HubApi.page."""

    async def user(self, name: str) -> User:
        """As HubApi.user."""

    async def stop_server(self, user: str, name: str, *, remove: bool) -> bool:
        """As HubApi.stop_server."""

    async def delete_user(self, name: str) -> None:
        """As HubApi.delete_user."""


class Servers(Protocol):
    """Single-user servers that say themselves what they run."""

    per_sweep: int  # so many may be asked in one sweep

    async def refresh(self) -> None:
        """Begin a sweep; raise HubError where it is not known how servers can be asked."""

    async def work(self, server: Server) -> Work | None:
        """Return what a server runs; None where it gave no answer that makes sense."""


class Memory(Recollection, Protocol):
    """What users asked for and were told."""

    def told(self, user: str, server: str, notice: Notice) -> None:
        """Remember that a user was warned."""

    def forget_all_but(self, keys: Collection[ServerKey]) -> None:
        """Forget what is about servers that are gone for good."""


class Warn(Protocol):
    """Warns the user of a server that it will be stopped."""

    async def __call__(self, decision: Decision, stop_at: datetime) -> bool:
        """Return whether the user was told; it is not to be stopped before ``stop_at``."""
