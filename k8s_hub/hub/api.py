"""The hub's REST API, call by call: one attempt each; retries are the caller's policy."""

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
"""Without it the hub cuts a list off at 200 and says nothing."""

MOST = 1_000_000_000
"""Users, or routes: a greater number is a mistake."""


class UserState(StrEnum):
    """Which users to list."""

    ALL = ""
    ACTIVE = "active"  # with a server that runs, starts or stops


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPage:
    """A part of the list of users."""

    users: tuple[User, ...]
    unreadable: tuple[HubError, ...]  # users whose description made no sense
    limit: int  # users per page, as the hub has it; it may allow fewer than were asked for
    total: int  # users in all pages
    next_offset: int | None  # None: this is the last page


class HubApi:
    """The calls of the REST API that programs beside the hub need."""

    def __init__(self, connection: HubConnection) -> None:
        self._connection = connection

    async def version(self) -> str:
        """Return the hub's version: the cheapest question that it answers to anybody."""
        reply = await self._connection.request("GET", "/", scope="none")
        version = reply.body.get("version") if isinstance(reply.body, Mapping) else None
        if not isinstance(version, str):
            raise BadReply("the hub tells no version")
        return version

    async def scopes(self) -> frozenset[str]:
        """Return what the token may do, all implied scopes among them; a scope with a filter has it in its name."""
        reply = await self._connection.request("GET", "/user", scope="read:users!user")
        scopes = reply.body.get("scopes") if isinstance(reply.body, Mapping) else None
        if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
            raise BadReply("the token's owner has no list of scopes")
        return frozenset(scopes)

    async def page(
        self, *, offset: int, limit: int, state: UserState = UserState.ALL, with_stopped: bool = False
    ) -> UserPage:
        """Return one page of the users in the order of their ids, which never changes.

        with_stopped: with the servers that do not run, too.
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
        """Return one user and their servers; raise HubNotFound where there is no such user.

        with_stopped: with the servers that do not run, too. The call for a single server does not exist before JupyterHub 6 and costs the hub as much.
        """
        reply = await self._connection.request(
            "GET", f"/users/{_path_part(name)}", scope="read:servers", params=_stopped(with_stopped)
        )
        return user_of(reply.body)

    async def stop_server(self, user: str, name: str = "", *, remove: bool = False) -> bool:
        """Stop a server; True when it is gone, False when the hub is still stopping it.

        remove: forget a named server too, after which its volume may be deleted (``KubeSpawner.delete_pvc``).
        A server that is already stopped is gone. A server that starts is interrupted.
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
        """Return where the proxy sends the requests of each server, by user and server name."""
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
        """Return a new token of a user, which has these scopes of theirs for so long."""
        reply = await self._connection.request(
            "POST",
            f"/users/{_path_part(user)}/tokens",
            scope="tokens",
            body={"scopes": scopes, "expires_in": int(lifetime.total_seconds()), "note": note},
        )
        token = reply.body.get("token") if isinstance(reply.body, Mapping) else None
        if not isinstance(token, str):
            raise BadReply(f"the new token of user {user} is not told")
        return token

    async def delete_user(self, name: str) -> None:
        """Delete a user, whose servers must be stopped."""
        await self._connection.request("DELETE", f"/users/{_path_part(name)}", scope="delete:users")


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
    """Return what a page says of itself; its items are of this ``kind``."""
    pagination = body.get("_pagination") if isinstance(body, Mapping) else None
    if not isinstance(pagination, Mapping) or not isinstance(body.get("items"), kind):
        raise BadReply(
            f"the list of {what} has no pages: something between us and the hub drops the Accept header"
        )
    return pagination


def _next_offset(pagination: Mapping[str, Any], offset: int, what: str) -> int | None:
    """Return where the next page begins, after ``offset``; None: this is the last."""
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
    return BadReply(f"the list of {what} has pages that make no sense: {quoted(raw)}")
