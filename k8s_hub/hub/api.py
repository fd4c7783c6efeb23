"""The calls of the hub's REST API, one attempt each. Callers retry by their own policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from k8s_hub.hub.connection import HubConnection
from k8s_hub.hub.errors import BadReply, HubError
from k8s_hub.hub.users import ServerKey, User, routes_of, user_of
from k8s_hub.text import quoted

PAGINATED = "application/jupyterhub-pagination+json"
"""The media type of paginated lists. Without it the hub silently cuts a list off at 200."""

MOST = 1_000_000_000
"""The largest plausible number of users or routes."""


class UserState(StrEnum):
    """Which users to list."""

    ALL = ""
    ACTIVE = "active"  # users with a server that runs, starts or stops


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPage:
    """A part of the list of users."""

    users: tuple[User, ...]
    unreadable: tuple[HubError, ...]  # one error per user that could not be parsed
    limit: int  # users per page; the hub may allow fewer than requested
    total: int  # users in all pages
    next_offset: int | None  # None: this is the last page


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a token is."""

    owner: str  # such as "service idle-culler"
    scopes: frozenset[str]  # implied ones included; a filter is a part of the scope's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of the hub."""

    name: str
    command: tuple[str, ...]  # empty: the hub does not start it
    pid: int  # 0: the hub has not started it


SERVICE_SCOPES = ("list:services", "read:services")
"""To read the hub's services with their commands and processes."""


class HubApi:
    """The calls of the REST API that programs beside the hub need."""

    def __init__(self, connection: HubConnection) -> None:
        self._connection = connection

    async def version(self) -> str:
        """Return the hub's version: the cheapest request, and one that needs no token."""
        reply = await self._connection.request("GET", "/", scope="none")
        version = reply.body.get("version") if isinstance(reply.body, Mapping) else None
        if not isinstance(version, str):
            raise BadReply("the hub's reply has no version")
        return version

    async def scopes(self) -> frozenset[str]:
        """Return the token's scopes."""
        return (await self.identity()).scopes

    async def identity(self) -> Identity:
        """Return whose token this is, and its scopes."""
        reply = await self._connection.request("GET", "/user", scope="read:users!user")
        said = reply.body if isinstance(reply.body, Mapping) else {}
        scopes = said.get("scopes")
        if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
            raise BadReply("the hub's reply has no list of scopes")
        kind, name = said.get("kind"), said.get("name")
        is_named = isinstance(kind, str) and isinstance(name, str)
        return Identity(owner=f"{kind} {name}" if is_named else "an unknown owner", scopes=frozenset(scopes))

    async def services(self) -> tuple[Service, ...]:
        """Return the hub's services."""
        reply = await self._connection.request("GET", "/services", scope=" and ".join(SERVICE_SCOPES))
        if not isinstance(reply.body, Mapping):
            raise BadReply("the hub's reply has no services")
        return tuple(_service_of(str(name), raw) for name, raw in reply.body.items())

    async def page(
        self, *, offset: int, limit: int, state: UserState = UserState.ALL, with_stopped: bool = False
    ) -> UserPage:
        """Return one page of the users, in the stable order of their ids.

        with_stopped: include stopped servers.
        """
        reply = await self._connection.request(
            "GET",
            "/users",
            scope="list:users",
            params={"offset": str(offset), "limit": str(limit), "sort": "id"}
            | ({"state": state.value} if state else {})
            | _stopped(with_stopped),
            accept=PAGINATED,
        )
        return _page_of(reply.body, offset)

    async def user(self, name: str, *, with_stopped: bool = False) -> User:
        """Return one user and their servers; raise HubNotFound if there is no such user.

        with_stopped: include stopped servers. JupyterHub 6 can return a single server, at the same cost for the hub.
        """
        reply = await self._connection.request(
            "GET", f"/users/{_path_part(name)}", scope="read:servers", params=_stopped(with_stopped)
        )
        return user_of(reply.body)

    async def stop_server(self, user: str, name: str = "", *, remove: bool = False) -> bool:
        """Stop a server; return True if it is stopped, False if the hub is still stopping it.

        remove: also remove a named server from the hub. The spawner may then delete its volume
        (``KubeSpawner.delete_pvc``). The call succeeds for a stopped server, and interrupts a start.
        """
        where = f"servers/{_path_part(name)}" if name else "server"
        reply = await self._connection.request(
            "DELETE",
            f"/users/{_path_part(user)}/{where}",
            scope="delete:servers",
            body={"remove": True} if remove else None,
        )
        return reply.code != 202

    async def routes(self) -> dict[ServerKey, str]:
        """Return the target of each server's route in the proxy, by user and server name."""
        found: dict[ServerKey, str] = {}
        offset: int | None = 0
        while offset is not None:
            reply = await self._connection.request(
                "GET",
                "/proxy",
                scope="proxy",
                params={"offset": str(offset), "limit": "200"},
                accept=PAGINATED,
            )
            pagination = _pagination_of(reply.body, Mapping, "routes")
            found |= routes_of(reply.body["items"])
            offset = _next_offset(pagination, offset, "routes")
        return found

    async def new_token(self, user: str, *, scopes: list[str], lifetime: timedelta, note: str) -> str:
        """Create and return a token of a user, with these scopes and this lifetime."""
        reply = await self._connection.request(
            "POST",
            f"/users/{_path_part(user)}/tokens",
            scope="tokens",
            body={"scopes": scopes, "expires_in": int(lifetime.total_seconds()), "note": note},
        )
        token = reply.body.get("token") if isinstance(reply.body, Mapping) else None
        if not isinstance(token, str):
            raise BadReply(f"the hub's reply has no token for user {user}")
        return token

    async def delete_user(self, name: str) -> None:
        """Delete a user. Their servers must be stopped."""
        await self._connection.request("DELETE", f"/users/{_path_part(name)}", scope="delete:users")


def _service_of(name: str, raw: Any) -> Service:
    said = raw if isinstance(raw, Mapping) else {}
    command, pid = said.get("command"), said.get("pid")
    return Service(
        name=name,
        command=tuple(map(str, command)) if isinstance(command, list) else (),
        pid=pid if isinstance(pid, int) else 0,
    )


def _stopped(is_wanted: bool) -> dict[str, str]:
    return {"include_stopped_servers": "1"} if is_wanted else {}


def _path_part(name: str) -> str:
    return quote(name, safe="")


def _page_of(body: Any, offset: int) -> UserPage:
    pagination = _pagination_of(body, list, "users")
    users, unreadable = [], []
    for raw in body["items"]:
        try:
            users.append(user_of(raw))
        except BadReply as error:
            unreadable.append(error)
    return UserPage(
        users=tuple(users),
        unreadable=tuple(unreadable),
        limit=_count(pagination, "limit", "users"),
        total=_count(pagination, "total", "users"),
        next_offset=_next_offset(pagination, offset, "users"),
    )


def _pagination_of(body: Any, kind: type, what: str) -> Mapping[str, Any]:
    """Return a page's pagination; raise BadReply if its items are not of this ``kind``."""
    pagination = body.get("_pagination") if isinstance(body, Mapping) else None
    if not isinstance(pagination, Mapping) or not isinstance(body.get("items"), kind):
        raise BadReply(
            f"the list of {what} has no pagination: a proxy before the hub may drop the Accept header"
        )
    return pagination


def _next_offset(pagination: Mapping[str, Any], offset: int, what: str) -> int | None:
    """Return the offset of the next page, which must be beyond ``offset``; None after the last page."""
    # Not its URL, which repeats the host of the request as the hub saw it.
    following = pagination.get("next", {})
    if following is None:
        return None
    next_offset = _count(following, "offset", what)
    if next_offset <= offset:
        raise _senseless(pagination, what)
    return next_offset


def _count(raw: Any, key: str, what: str) -> int:
    number = raw.get(key) if isinstance(raw, Mapping) else None
    if not isinstance(number, int) or not 0 <= number <= MOST:
        raise _senseless(raw, what)
    return number


def _senseless(raw: Any, what: str) -> BadReply:
    return BadReply(f"the list of {what} has invalid pagination: {quoted(raw)}")
