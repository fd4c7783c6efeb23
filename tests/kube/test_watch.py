"""The protocol of list and watch, told with literals."""

import json

import pytest

from k8s_hub.kube.errors import Forbidden, Gone, Invalid, Unavailable
from k8s_hub.kube.watch import (
    Added,
    Bookmark,
    Deleted,
    Empty,
    Error,
    Listed,
    Listing,
    Modified,
    Page,
    Watching,
    after,
    after_end,
    decode,
    end_meant_by,
    is_older,
)


def pod(version: str):
    return {"kind": "Pod", "metadata": {"name": "a", "namespace": "n", "resourceVersion": version}}


def page(*, token: str = "", first: bool = True):
    return Page(items=(pod("3"),), resource_version="9", is_first=first, continue_token=token)


@pytest.mark.parametrize(
    ("state", "news", "expected"),
    [
        pytest.param(Empty(), page(), Listed("9"), id="a list of one page"),
        pytest.param(Empty(), page(token="t"), Listing("t"), id="the first of several pages"),
        pytest.param(Listing("t"), page(token="u", first=False), Listing("u"), id="a page in the middle"),
        pytest.param(Listing("u"), page(first=False), Listed("9"), id="the last page"),
        pytest.param(Watching("9"), Added(pod("10")), Watching("10"), id="added"),
        pytest.param(Watching("9"), Modified(pod("11")), Watching("11"), id="modified"),
        pytest.param(Watching("9"), Deleted(pod("12")), Watching("12"), id="deleted"),
        pytest.param(Watching("9"), Bookmark("13"), Watching("13"), id="bookmark"),
        pytest.param(Watching("9"), Bookmark("9"), Watching("9"), id="bookmark of a quiet cluster"),
        pytest.param(Watching("9"), Bookmark("8"), Empty(), id="a server that forgot its past"),
        pytest.param(Watching("10"), Added(pod("9")), Empty(), id="less in number, though not as text"),
        pytest.param(Watching("9a"), Bookmark("8a"), Watching("8a"), id="versions that do not compare"),
        pytest.param(Watching("9"), Error(Gone("old")), Empty(), id="410 in the stream"),
        pytest.param(Watching("9"), Error(Unavailable("500")), Listed("9"), id="another error in the stream"),
    ],
)
def test_after(state, news, expected):
    assert after(state, news) == expected


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [
        pytest.param(Watching("9"), None, Listed("9"), id="a watch ended by the server is resumed"),
        pytest.param(Watching("9"), Unavailable("cut"), Listed("9"), id="a watch that was cut is resumed"),
        pytest.param(Watching("9"), Gone("old"), Empty(), id="410 lists again"),
        pytest.param(Listed("9"), Gone("old"), Empty(), id="410 as the reply to a watch lists again"),
        pytest.param(Listed("9"), Unavailable("away"), Listed("9"), id="a watch not opened is opened again"),
        pytest.param(Listed("9a"), Invalid("version"), Empty(), id="a version the server cannot read"),
        pytest.param(Listing("t"), Unavailable("away"), Listing("t"), id="a page not read is read again"),
        pytest.param(Listing("t"), Gone("token"), Empty(), id="a token that is too old starts over"),
        pytest.param(Empty(), Forbidden("role"), Empty(), id="nothing known, nothing lost"),
    ],
)
def test_after_end(state, error, expected):
    assert after_end(state, error) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"type": "ADDED", "object": pod("1")}, Added(pod("1"))),
        ({"type": "MODIFIED", "object": pod("1")}, Modified(pod("1"))),
        ({"type": "DELETED", "object": pod("1")}, Deleted(pod("1"))),
        ({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}, Bookmark("7")),
    ],
)
def test_decode(raw, expected):
    assert decode(json.dumps(raw).encode()) == expected


def test_decode_of_an_error_is_the_error_of_its_status():
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}

    news = decode(json.dumps({"type": "ERROR", "object": status}).encode())

    assert isinstance(news, Error)
    assert isinstance(news.error, Gone)
    assert end_meant_by(news) is news.error


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"type": "NEW", "object": {}}',
        b'{"type": "ERROR", "object": 1}',
        b"\xff",
    ],
)
def test_a_line_that_is_no_event_breaks_the_watch_and_shows_nothing_of_itself(line):
    with pytest.raises(Unavailable, match=rf"\({len(line)} bytes\) is not a watch event"):
        decode(line)


def test_a_page_is_read_from_a_reply():
    reply = {"metadata": {"resourceVersion": "5", "continue": "t"}, "items": [pod("1")]}

    assert Page.of(reply, is_first=True) == Page(
        items=[pod("1")], resource_version="5", is_first=True, continue_token="t"
    )


def test_an_empty_list_may_have_no_items_at_all():
    assert Page.of({"metadata": {"resourceVersion": "5"}, "items": None}, is_first=True).items == ()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("9", "10", True), ("10", "9", False), ("9", "9", False), ("", "9", False), ("a", "9", False)],
)
def test_is_older(one, other, expected):
    assert is_older(one, other) is expected
