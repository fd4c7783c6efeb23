"""The hub's REST API, call by call: one attempt each; retries are the caller's policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from k8s_hub.hub.connection import HubConnection
from k8s_hub.hub.errors import BadReply, HubError
from k8s_hub.hub.users import User, user_of


class State(StrEnum):
    """Which users to list."""

    ALL = ""
    ACTIVE = "active"  # with a server that runs, starts or stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
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

    async def scopes(self) -> frozenset[str]:
        """Return what the token may do, all implied scopes among them; a scope with a filter has it in its name."""
        reply = await self._connection.request("GET", "/user", scope="read:users!user")
        scopes = reply.body.get("scopes") if isinstance(reply.body, Mapping) else None
        if not isinstance(scopes, list):
            raise BadReply("the token's owner has no list of scopes")
        return frozenset(map(str, scopes))

    async def page(
        self, *, offset: int, limit: int, state: State = State.ALL, with_stopped: bool = False
    ) -> Page:
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
            # Without it the hub cuts the list off at 200 users and says nothing.
            accept="application/jupyterhub-pagination+json",
        )
        return _page_of(reply.body, offset)

    async def user(self, name: str, *, with_stopped: bool = False) -> User:
        """Return one user and their servers; raise NotFound where there is no such user.

        with_stopped: with the servers that do not run, too. The call for a single server does not exist before JupyterHub 6 and costs the hub as much.
        """
        reply = await self._connection.request(
            "GET", f"/users/{_quoted(name)}", scope="read:servers", params=_stopped(with_stopped)
        )
        return user_of(reply.body)

    async def stop_server(self, user: str, name: str = "", *, remove: bool = False) -> bool:
        """Stop a server; True when it is gone, False when the hub is still stopping it.

        remove: forget a named server too, after which its volume may be deleted (``KubeSpawner.delete_pvc``).
        A server that is already stopped is gone. A server that starts is interrupted.
        """
        where = f"servers/{_quoted(name)}" if name else "server"
        reply = await self._connection.request(
            "DELETE",
            f"/users/{_quoted(user)}/{where}",
            scope="delete:servers",
            body={"remove": True} if remove else None,
        )
        return reply.code != 202

    async def delete_user(self, name: str) -> None:
        """Delete a user, whose servers must be stopped."""
        await self._connection.request("DELETE", f"/users/{_quoted(name)}", scope="delete:users")


def _stopped(is_wanted: bool) -> dict[str, str]:
    return {"include_stopped_servers": "1"} if is_wanted else {}


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _page_of(body: Any, offset: int) -> Page:
    pagination = body.get("_pagination") if isinstance(body, Mapping) else None
    if not isinstance(pagination, Mapping) or not isinstance(body.get("items"), list):
        raise BadReply(
            "the list of users has no pages: something between us and the hub drops the Accept header"
        )
    users, unreadable = [], []
    for raw in body["items"]:
        try:
            users.append(user_of(raw))
        except BadReply as error:
            unreadable.append(error)
    try:
        following = pagination["next"]
        page = Page(
            users=tuple(users),
            unreadable=tuple(unreadable),
            limit=int(pagination["limit"]),
            total=int(pagination["total"]),
            # Not its URL, which repeats the host of the request as the hub saw it.
            next_offset=None if following is None else int(following["offset"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        page = None
    if page is None or (page.next_offset is not None and page.next_offset <= offset):
        raise BadReply(f"the list of users has pages that make no sense: {pagination!r}")
    return page
