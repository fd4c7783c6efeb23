"""Reads all users page by page. `read_all` skips what it cannot read; `read_everybody` raises."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from k8s_hub.hub.api import UserPage
from k8s_hub.hub.errors import BadReply, HubError, HubForbidden
from k8s_hub.hub.users import User

LOST_IN_A_ROW = 3
"""After this many failed pages in a row the hub counts as away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A part of the list that could not be read."""

    what: str
    error: HubError


@dataclass(frozen=True, slots=True, kw_only=True)
class UserList:
    """All pages of a list, and what could not be read."""

    pages: tuple[UserPage, ...]
    lost: tuple[Lost, ...]


async def read_all(read_page: Callable[[int], Awaitable[UserPage]], *, page_size: int) -> UserList:
    """Read all pages with ``read_page(offset)``; raise the last error if not one page could be read.

    Raises `HubForbidden` at once.
    """
    pages: list[UserPage] = []
    lost: list[Lost] = []
    lost_in_a_row = 0
    offset: int | None = 0
    while offset is not None and lost_in_a_row < LOST_IN_A_ROW:
        try:
            page = await read_page(offset)
        except HubForbidden:
            raise
        except HubError as error:
            lost_in_a_row += 1
            step = pages[-1].limit if pages else page_size
            lost.append(Lost(what=f"users {offset + 1} to {offset + step}", error=error))
            offset = _after(offset + step, pages)
        else:
            lost_in_a_row = 0
            pages.append(page)
            lost.extend(Lost(what="one user", error=error) for error in page.unreadable)
            offset = page.next_offset
    if not pages:
        raise lost[-1].error
    return UserList(pages=tuple(pages), lost=tuple(lost))


async def read_everybody(read_page: Callable[[int], Awaitable[UserPage]]) -> tuple[User, ...]:
    """Return all users, or raise: for callers who act on a user's absence.

    Each page begins with the last user of the previous one. If a user is deleted meanwhile, the others move up, and one of
    them would fall between two pages.
    """
    users: list[User] = []
    while True:
        page = await read_page(max(0, len(users) - 1))
        if page.unreadable:
            raise page.unreadable[0]
        if users and (not page.users or page.users[0].name != users[-1].name):
            raise BadReply("users were deleted or renamed while they were listed, so some may be missing")
        users += page.users[1:] if users else page.users
        if page.next_offset is None:
            break
        if len(page.users) < 2:
            raise BadReply("the list of users does not advance")
    if len(users) != page.total:
        raise BadReply(f"the hub counts {page.total} users, but listed {len(users)}")
    return tuple(users)


def _after(offset: int, pages: list[UserPage]) -> int | None:
    """Return the offset to continue from; None beyond the last user. The total is unknown before the first page."""
    return offset if not pages or offset < pages[-1].total else None
