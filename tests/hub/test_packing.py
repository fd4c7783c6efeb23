"""The hub's words, kept small: the same to whoever reads them."""

import json

from k8s_hub.hub.users import packed, unpacked, user_of

RAW = {
    "name": "zoë \ud800",
    "admin": False,
    "last_activity": None,
    "servers": {
        "": {"name": "", "ready": True, "user_options": {"profile": "gpu"}, "state": {"pod_name": "a"}},
        "lab": {"name": "lab", "ready": True},
    },
}


def test_a_packed_user_is_the_same_user():
    user = user_of(RAW)
    small = packed(user)
    assert small == user
    assert small.raw == RAW
    assert [server.raw for server in small.servers] == [server.raw for server in user.servers]
    assert small.server("").state == {"pod_name": "a"}
    assert small.server("lab").state is None


def test_hooks_get_dictionaries():
    small = packed(user_of(RAW))
    assert json.dumps(unpacked(small.raw)) == json.dumps(RAW)
    assert type(unpacked(small.servers[0].raw)) is dict
    assert unpacked(RAW) == RAW


def test_hidden_servers_stay_hidden():
    small = packed(user_of({"name": "a"}))
    assert small.servers is None
    assert small.raw == {"name": "a"}
