"""Reading the hub's words about users."""

from datetime import UTC, datetime, timedelta

import pytest

from k8s_hub.hub.errors import BadReply
from k8s_hub.hub.users import user_of

RAW_SERVER = {
    "name": "lab",
    "ready": True,
    "pending": None,
    "started": "2026-07-01T10:00:00.000000Z",
    "last_activity": "2026-07-01T11:00:00.000000Z",
}
RAW = {
    "name": "alice",
    "admin": False,
    "created": None,
    "last_activity": None,
    "servers": {"lab": RAW_SERVER},
}
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_a_user_and_their_server():
    user = user_of(RAW)
    (server,) = user.servers
    assert (user.name, user.admin, user.created) == ("alice", False, None)
    assert (server.user, server.name, server.ready, server.pending) == ("alice", "lab", True, None)
    assert (server.age(NOON), server.idle_for(NOON)) == (timedelta(hours=2), timedelta(hours=1))
    assert str(server) == "alice/lab"
    assert server.raw is RAW_SERVER
    assert user.server("lab") is server
    assert user.server("") is None


def test_the_default_server_is_called_by_its_user():
    (server,) = user_of(RAW | {"servers": {"": RAW_SERVER | {"name": ""}}}).servers
    assert (server.name, str(server)) == ("", "alice")


def test_without_activity_idle_time_counts_from_the_beginning():
    (server,) = user_of(RAW | {"servers": {"lab": RAW_SERVER | {"last_activity": None}}}).servers
    assert server.idle_for(NOON) == timedelta(hours=2)
    assert user_of(RAW | {"created": "2026-07-01T09:00:00Z"}).idle_for(NOON) == timedelta(hours=3)
    assert user_of(RAW).idle_for(NOON) is None


def test_servers_that_the_token_may_not_see_are_not_no_servers():
    hidden = {key: value for key, value in RAW.items() if key != "servers"}
    assert user_of(hidden).servers is None
    assert user_of(hidden).server("lab") is None
    assert user_of(RAW | {"servers": {}}).servers == ()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("alice", ["without a name"]),
        ({"admin": True}, ["without a name"]),
        (RAW | {"servers": []}, ["user alice", "servers", "[]"]),
        (RAW | {"servers": {"lab": None}}, ["alice/lab", "None"]),
        (
            RAW | {"servers": {"lab": RAW_SERVER | {"pending": ["stop"]}}},
            ["alice/lab", "pending", "['stop']"],
        ),
        (RAW | {"created": "0001-01-01T00:00:00+14:00"}, ["user alice", "created"]),
        (RAW | {"created": "yesterday"}, ["user alice", "created", "'yesterday'"]),
        (RAW | {"servers": {"lab": RAW_SERVER | {"last_activity": 5}}}, ["alice/lab", "last_activity", "5"]),
        (
            RAW | {"servers": {"lab": RAW_SERVER | {"started": "2026-07-01T10:00:00"}}},
            ["alice/lab", "started"],
        ),
    ],
)
def test_nonsense_is_told_with_whose_it_is(raw, words):
    """A time that cannot be read is not the same as none: it must not make a server look old."""
    with pytest.raises(BadReply) as caught:
        user_of(raw)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


# Made in the test: pytest itself cannot write them either.
@pytest.mark.parametrize(
    "make", [lambda: 10**5_000, lambda: -(10**4_300), lambda: nested(100_000)], ids=["large", "small", "deep"]
)
@pytest.mark.parametrize(
    "build",
    [
        lambda odd: {"servers": odd},
        lambda odd: {"groups": odd},
        lambda odd: {"groups": [odd]},
        lambda odd: {"created": odd},
        lambda odd: {"last_activity": odd},
        lambda odd: {"servers": {"": odd}},
        lambda odd: {"servers": {"": RAW_SERVER | {"pending": odd}}},
        lambda odd: {"servers": {"": RAW_SERVER | {"started": odd}}},
        lambda odd: {"servers": {"": RAW_SERVER | {"last_activity": odd}}},
    ],
)
def test_values_that_python_cannot_write_are_bad_words_and_no_bug(build, make):
    with pytest.raises(BadReply) as caught:
        user_of(RAW | build(make()))
    assert len(str(caught.value)) < 300
