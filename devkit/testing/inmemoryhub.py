"""A hub's REST API in memory, with delays, planned failures and counts of pending calls."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from k8s_hub.hub.api import UserPage, UserState
from k8s_hub.hub.errors import HubError, HubNotFound, HubUnavailable
from k8s_hub.hub.users import Server, User

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def server(
    user: str,
    name: str = "",
    *,
    idle: timedelta | None = timedelta(hours=2),
    age: timedelta | None = timedelta(hours=3),
    ready: bool = True,
    pending: str | None = None,
) -> Server:
    """Return a server that was active ``idle`` and started ``age`` before NOW; None: unknown."""
    return Server(
        user=user,
        name=name,
        ready=ready,
        pending=pending,
        started=None if age is None else NOW - age,
        last_activity=None if idle is None else NOW - idle,
        raw={"name": name, "state": {}},
    )


def user(
    name: str,
    *servers: Server,
    admin: bool = False,
    idle: timedelta | None = timedelta(hours=2),
    hidden: bool = False,
) -> User:
    """Return a user created three hours before NOW, with these servers; hidden: the token may not see them."""
    return User(
        name=name,
        admin=admin,
        created=NOW - timedelta(hours=3),
        last_activity=None if idle is None else NOW - idle,
        servers=None if hidden else servers,
        raw={"name": name},
    )


class InMemoryHub:
    """The calls that a sweep needs. Each first asks ``trouble`` for an error to raise.

    stop_seconds: the duration of a stop. stops_slowly: the hub answers 202, and the server stays for now.
    """

    def __init__(
        self,
        *users: User,
        stop_seconds: float = 0.0,
        stops_slowly: bool = False,
        trouble: Callable[[str], HubError | None] = lambda _call: None,
    ) -> None:
        self.users = {user.name: user for user in users}
        self.stop_seconds = stop_seconds
        self.stops_slowly = stops_slowly
        self.trouble = trouble
        self.calls: list[str] = []
        self.in_flight = 0  # pending stops
        self.peak_in_flight = 0

    def _enter(self, call: str) -> None:
        self.calls.append(call)
        if error := self.trouble(call):
            raise error

    async def version(self) -> str:
        self._enter("version")
        return "6.0.0"

    async def page(self, *, offset: int, limit: int, state: UserState) -> UserPage:
        self._enter(f"page {offset}")
        known = [user for user in self.users.values() if state is UserState.ALL or user.servers != ()]
        end = offset + limit
        return UserPage(
            users=tuple(known[offset:end]),
            unreadable=(),
            limit=limit,
            total=len(known),
            next_offset=end if end < len(known) else None,
        )

    async def user(self, name: str) -> User:
        self._enter(f"user {name}")
        if name not in self.users:
            raise HubNotFound("no such user", code=404)
        return self.users[name]

    async def stop_server(self, user: str, name: str, *, remove: bool) -> bool:
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            self._enter(f"stop {user}/{name}" + (" and remove" if remove else ""))
            await asyncio.sleep(self.stop_seconds)
        finally:
            self.in_flight -= 1
        if not self.stops_slowly:
            left = tuple(server for server in self.users[user].servers if server.name != name)
            self.users[user] = replace(self.users[user], servers=left)
        return not self.stops_slowly

    async def delete_user(self, name: str) -> None:
        self._enter(f"delete {name}")
        del self.users[name]


def one_in(number: int, *, seed: int = 1) -> Callable[[str], HubError | None]:
    """Return a ``trouble`` that answers one call in ``number`` with 503."""
    chance = random.Random(seed)
    return lambda call: HubUnavailable("503", code=503) if chance.randrange(number) == 0 else None
