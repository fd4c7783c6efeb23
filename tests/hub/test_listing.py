"""All users, page by page."""

import pytest

from devkit.testing.inmemoryhub import user
from k8s_hub.hub.api import UserPage
from k8s_hub.hub.errors import BadReply, HubForbidden, HubNotFound, HubUnavailable, Refused
from k8s_hub.hub.listing import read_all, read_everybody


def reader(total, *, limit, bad=(), error=None):
    """Return a function that reads pages of ``limit`` and fails at the offsets in ``bad``, and its calls."""
    offsets = []

    async def read_page(offset):
        offsets.append(offset)
        if offset in bad:
            raise error or HubUnavailable("500", code=500)
        users = tuple(user(f"u{number}") for number in range(offset, min(offset + limit, total)))
        following = offset + limit
        return UserPage(
            users=users, unreadable=(), limit=limit, total=total,
            next_offset=following if following < total else None,
        )  # fmt: skip

    return read_page, offsets


async def names(read_page, page_size=10):
    listing = await read_all(read_page, page_size=page_size)
    return [user.name for page in listing.pages for user in page.users], [lost.what for lost in listing.lost]


async def test_every_page_is_read():
    read_page, offsets = reader(25, limit=10)
    assert (await names(read_page))[0] == [f"u{number}" for number in range(25)]
    assert offsets == [0, 10, 20]


async def test_the_hub_may_allow_fewer_users_per_page():
    """It clamps to its own limit; a lost page is then of that size too."""
    read_page, offsets = reader(25, limit=5, bad={10})
    found, lost = await names(read_page, page_size=100)
    assert len(found) == 20
    assert (offsets, lost) == ([0, 5, 10, 15, 20], ["users 11 to 15"])


@pytest.mark.parametrize("bad", [{0}, {10}, {20}, {0, 20}])
async def test_lost_pages_are_passed_over(bad):
    read_page, offsets = reader(25, limit=10, bad=bad)
    await names(read_page)
    assert offsets == [0, 10, 20]


async def test_pages_lost_here_and_there_do_not_end_it():
    read_page, offsets = reader(80, limit=10, bad={0, 10, 30, 50, 60})
    found, lost = await names(read_page)
    assert (len(found), len(lost), len(offsets)) == (30, 5, 8)


async def test_three_lost_in_a_row_are_a_hub_that_is_away():
    read_page, offsets = reader(1000, limit=10, bad=range(10, 1000))
    found, lost = await names(read_page)
    assert len(found) == 10
    assert offsets == [0, 10, 20, 30]
    assert len(lost) == 3


async def test_nothing_read_is_an_error():
    read_page, offsets = reader(1000, limit=10, bad=range(1000), error=BadReply("no JSON"))
    with pytest.raises(BadReply):
        await names(read_page)
    assert offsets == [0, 10, 20]


@pytest.mark.parametrize("error", [HubNotFound("404", code=404), Refused("400", code=400)], ids=str)
async def test_a_page_that_is_refused_costs_itself_only(error):
    """What stands before a hub that restarts says all kinds of things."""
    read_page, _ = reader(25, limit=10, bad={10}, error=error)
    found, lost = await names(read_page)
    assert (len(found), lost) == (15, ["users 11 to 20"])


async def test_a_token_that_may_not_list_ends_it():
    read_page, offsets = reader(1000, limit=10, bad={0}, error=HubForbidden("lacks the scope list:users"))
    with pytest.raises(HubForbidden):
        await names(read_page)
    assert offsets == [0]


async def test_users_that_cannot_be_read_are_lost():
    async def read_page(_offset):
        return UserPage(
            users=(), unreadable=(BadReply("a user without a name"),), limit=1, total=1, next_offset=None
        )

    assert (await names(read_page))[1] == ["one user"]


# --- All or nothing ---


class Hub:
    """A list of users that changes between two pages."""

    def __init__(self, *names, limit=3, changes=None, total=None):
        self.names = list(names)
        self.limit = limit
        self.changes = changes or {}  # after so many pages
        self.total = total
        self.offsets = []

    async def page(self, offset):
        self.changes.get(len(self.offsets), lambda _names: None)(self.names)
        self.offsets.append(offset)
        following = offset + self.limit
        total = len(self.names) if self.total is None else self.total
        return UserPage(
            users=tuple(user(name) for name in self.names[offset:following]), unreadable=(), limit=self.limit,
            total=total, next_offset=following if following < len(self.names) else None,
        )  # fmt: skip


@pytest.mark.parametrize("count", range(9))
async def test_everybody_is_read_once(count):
    hub = Hub(*(f"u{number}" for number in range(count)))
    assert [user.name for user in await read_everybody(hub.page)] == hub.names


@pytest.mark.parametrize("gone", range(8))
async def test_a_user_who_is_deleted_meanwhile_leaves_nobody_out_unnoticed(gone):
    hub = Hub(*(f"u{number}" for number in range(8)), changes={1: lambda names: names.pop(gone)})
    try:
        read = {user.name for user in await read_everybody(hub.page)}
    except BadReply:
        return
    assert read >= set(hub.names)


async def test_a_user_who_is_added_meanwhile_is_no_trouble():
    hub = Hub("a", "b", "c", "d", changes={1: lambda names: names.append("e")})
    assert [user.name for user in await read_everybody(hub.page)] == ["a", "b", "c", "d", "e"]


async def test_a_deleted_and_an_added_user_are_no_trouble_in_sum():
    """The number of users is the same, and one of them was on no page."""

    def change(names):
        names.pop(0)
        names.append("z")

    hub = Hub("a", "b", "c", "d", "e", "f", changes={1: change})
    with pytest.raises(BadReply, match="deleted or renamed while they were listed"):
        await read_everybody(hub.page)


async def test_fewer_users_than_the_hub_speaks_of_are_an_error():
    with pytest.raises(BadReply, match="counts 9 users, but listed 2"):
        await read_everybody(Hub("a", "b", total=9).page)


async def test_pages_of_one_user_are_an_error_and_no_endless_loop():
    with pytest.raises(BadReply, match="does not advance"):
        await read_everybody(Hub("a", "b", limit=1).page)


async def test_one_user_who_makes_no_sense_is_an_error():
    async def read_page(offset):
        return UserPage(
            users=(), unreadable=(BadReply("a user without a name"),), limit=3, total=1, next_offset=None
        )

    with pytest.raises(BadReply, match="without a name"):
        await read_everybody(read_page)


async def test_one_page_that_is_lost_is_an_error():
    read_page, _ = reader(25, limit=10, bad={0})
    with pytest.raises(HubUnavailable):
        await read_everybody(read_page)
