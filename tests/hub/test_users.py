"""Reading the hub's words about users."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from k8s_hub.claims.saved_state import ACCESS_TOKEN
from k8s_hub.hub.errors import BadReply
from k8s_hub.hub.users import packed, unpacked, user_of

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
        # JSON can hold numbers that Python does not write as digits.
        (RAW | {"servers": 10**5000}, ["user alice", "servers", "a number without end"]),
        (RAW | {"servers": {"": 10**5000}}, ["alice/", "a number without end"]),
        (RAW | {"servers": {"lab": RAW_SERVER | {"pending": 10**5000}}}, ["alice/lab", "pending"]),
        (RAW | {"groups": 10**5000}, ["user alice", "groups"]),
        (RAW | {"created": 10**5000}, ["user alice", "created"]),
        (RAW | {"created": "2" * 100_000}, ["user alice", "created"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_nonsense_is_told_with_whose_it_is(raw, words):
    """A time that cannot be read is not the same as none: it must not make a server look old."""
    with pytest.raises(BadReply) as caught:
        user_of(raw)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_what_is_wrong_is_quoted_in_short():
    with pytest.raises(BadReply) as caught:
        user_of(RAW | {"groups": ["x" * 1_000_000, 7]})
    assert len(str(caught.value)) < 300


def test_a_time_without_an_offset_is_in_utc():
    """As the hub's database has it, and as idle-culler reads it."""
    raw = RAW | {"created": "2026-07-01T09:00:00", "servers": {"lab": RAW_SERVER | {"started": "2026-07-01"}}}
    user = user_of(raw)
    assert user.created == datetime(2026, 7, 1, 9, tzinfo=UTC)
    assert user.server("lab").started == datetime(2026, 7, 1, tzinfo=UTC)


# --- What users have a part in ---


def nested(levels, innermost=None):
    value = innermost
    for _ in range(levels):
        value = {"a": [value]}
    return value


def test_user_options_nested_deeply_lose_their_depth_and_keep_the_rest():
    """A user's JSON of a thousand levels could be decoded and not encoded again, and end all culling."""
    options = {"profile": "gpu", "deep": nested(50_000)}
    user = packed(user_of(RAW | {"servers": {"lab": RAW_SERVER | {"user_options": options}}}))
    kept = user.server("lab").raw["user_options"]
    assert kept["profile"] == "gpu"
    assert kept["deep"]["a"][0]["a"] is not None
    assert json.dumps(unpacked(user.raw))


def test_what_is_nested_as_deep_as_people_do_it_stays_as_it_is():
    options = {"deep": nested(20, "gpu")}
    (server,) = user_of(RAW | {"servers": {"lab": RAW_SERVER | {"user_options": options}}}).servers
    assert server.raw["user_options"] is options


def test_the_access_token_of_a_server_is_in_nothing_that_can_be_shown():
    state = {"url": "http://10.0.0.7:8888/user/alice/", ACCESS_TOKEN: "opensesame"}
    raw = RAW | {"servers": {"lab": RAW_SERVER | {"state": state}}}
    user = user_of(raw)
    server = user.server("lab")
    assert server.access_token == "opensesame"
    assert server.state == {"url": "http://10.0.0.7:8888/user/alice/"}
    for subject in (user, packed(user)):
        words = f"{subject!r} {subject} {unpacked(subject.raw)} {[unpacked(s.raw) for s in subject.servers]}"
        assert "opensesame" not in words
        assert subject.server("lab").access_token == "opensesame"


@pytest.mark.parametrize("token", [None, 7, "", "a\nb", "zoë", ["x"]])
def test_what_cannot_be_a_token_is_none_and_is_left_out_all_the_same(token):
    raw = RAW | {"servers": {"lab": RAW_SERVER | {"state": {ACCESS_TOKEN: token}}}}
    server = user_of(raw).server("lab")
    assert (server.access_token, server.state) == (None, {})


# Made in the test: pytest itself cannot write them either.
@pytest.mark.parametrize(
    "make",
    [lambda: 10**5_000, lambda: -(10**4_300), lambda: [nested(50_000)]],
    ids=["large", "small", "deep"],
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
