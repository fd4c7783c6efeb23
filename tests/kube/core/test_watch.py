"""The protocol of list and watch, told with literals."""

import gc
import json

import pytest

from k8s_hub.kube.core.errors import Forbidden, Invalid, RelistRequired, Unavailable
from k8s_hub.kube.core.watch import (
    Bookmark,
    Empty,
    Error,
    Listed,
    ListPage,
    Malformed,
    Paging,
    Removed,
    Updated,
    Watching,
    after,
    after_end,
    decode,
    decode_page,
    end_meant_by,
    is_older,
)
from k8s_hub.objects.keys import key_of, uid_of
from tests.kube.odd import DIGITS, NAMED, NAMELESS, ODD, a_list, an_event, stored, text


def pod(version: str):
    metadata = {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": version}
    return {"kind": "Pod", "metadata": metadata}


def page(*, token: str = "", first: bool = True):
    return ListPage(items=(pod("3"),), resource_version="9", is_first=first, continue_token=token)


@pytest.mark.parametrize(
    ("state", "event", "expected"),
    [
        pytest.param(Empty(), page(), Listed("9"), id="a list of one page"),
        pytest.param(Empty(), page(token="t"), Paging("t"), id="the first of several pages"),
        pytest.param(Paging("t"), page(token="u", first=False), Paging("u"), id="a page in the middle"),
        pytest.param(Paging("u"), page(first=False), Listed("9"), id="the last page"),
        pytest.param(Watching("9"), Updated(pod("10")), Watching("10"), id="added"),
        pytest.param(Watching("9"), Updated(pod("11")), Watching("11"), id="modified"),
        pytest.param(Watching("9"), Removed(pod("12")), Watching("12"), id="deleted"),
        pytest.param(
            Watching("9"), Malformed(pod("13"), "odd"), Watching("13"), id="an object that is skipped"
        ),
        pytest.param(Watching("9"), Malformed({}, "odd"), Watching("9"), id="an object without a version"),
        pytest.param(Watching("9"), Removed({}), Watching("9"), id="deleted, without a version"),
        pytest.param(Watching("9"), Bookmark("13"), Watching("13"), id="bookmark"),
        pytest.param(Watching("9"), Bookmark(""), Watching("9"), id="bookmark without a version"),
        pytest.param(Watching("9"), Bookmark("9"), Watching("9"), id="bookmark of a quiet cluster"),
        pytest.param(Watching("9"), Bookmark("8"), Empty(), id="a server that forgot its past"),
        pytest.param(Watching("10"), Updated(pod("9")), Empty(), id="less in number, though not as text"),
        pytest.param(Watching("9a"), Bookmark("8a"), Watching("8a"), id="versions that do not compare"),
        pytest.param(Watching("9"), Error(RelistRequired("old")), Empty(), id="410 in the stream"),
        pytest.param(Watching("9"), Error(Unavailable("500")), Listed("9"), id="another error in the stream"),
    ],
)
def test_after(state, event, expected):
    assert after(state, event) == expected


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [
        pytest.param(Watching("9"), None, Listed("9"), id="a watch ended by the server is resumed"),
        pytest.param(Watching("9"), Unavailable("cut"), Listed("9"), id="a watch that was cut is resumed"),
        pytest.param(Watching("9"), RelistRequired("old"), Empty(), id="410 lists again"),
        pytest.param(
            Listed("9"), RelistRequired("old"), Empty(), id="410 as the reply to a watch lists again"
        ),
        pytest.param(Listed("9"), Unavailable("away"), Listed("9"), id="a watch not opened is opened again"),
        pytest.param(Listed("9a"), Invalid("version"), Empty(), id="a version the server cannot read"),
        pytest.param(Paging("t"), Unavailable("away"), Paging("t"), id="a page not read is read again"),
        pytest.param(Paging("t"), RelistRequired("token"), Empty(), id="a token that is too old starts over"),
        pytest.param(Empty(), Forbidden("role"), Empty(), id="nothing known, nothing lost"),
    ],
)
def test_after_end(state, error, expected):
    assert after_end(state, error) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"type": "ADDED", "object": pod("1")}, Updated(pod("1"))),
        ({"type": "MODIFIED", "object": pod("1")}, Updated(pod("1"))),
        ({"type": "DELETED", "object": pod("1")}, Removed(pod("1"))),
        ({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}, Bookmark("7")),
    ],
)
def test_decode(raw, expected):
    assert decode(json.dumps(raw).encode()) == expected


def test_decode_of_an_error_is_the_error_of_its_status():
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}

    event = decode(json.dumps({"type": "ERROR", "object": status}).encode())

    assert isinstance(event, Error)
    assert isinstance(event.error, RelistRequired)
    assert end_meant_by(event) is event.error


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"type": "NEW", "object": {}}',
        b'{"type": ["s3cret"], "object": {}}',
        b'{"type": "ERROR", "object": 1}',
        b'{"type": "BOOKMARK", "object": 1}',
        b'{"type": "ERROR", "object": ' + DIGITS.encode() + b"}",
        b'{"type": "s3cret"}',
        b"\xff s3cret",
    ],
    ids=lambda line: str(line[:40]),
)
def test_a_line_that_is_no_event_leads_to_a_list_and_shows_nothing_of_itself(line, decoder):
    with pytest.raises(RelistRequired, match=rf"\({len(line)} bytes\) is not a watch event") as caught:
        decode(line)
    assert "s3cret" not in str(caught.value)


def test_a_page_is_read_from_a_reply():
    reply = {"metadata": {"resourceVersion": "5", "continue": "t"}, "items": [pod("1")]}

    assert ListPage.of(reply, is_first=True) == ListPage(
        items=[pod("1")], malformed=[], resource_version="5", is_first=True, continue_token="t"
    )


def test_an_empty_list_may_have_no_items_at_all():
    assert ListPage.of({"metadata": {"resourceVersion": "5"}, "items": None}, is_first=True).items == []


def test_a_long_page_costs_one_garbage_collection_at_most(decoder):
    content = a_list(*(text(f"pod-{number}") for number in range(5 * gc.get_threshold()[0])))
    begun = []

    def note(phase, _info):
        begun.append(phase)

    gc.callbacks.append(note)
    try:
        decode_page(content, is_first=True)
    finally:
        gc.callbacks.remove(note)

    assert begun.count("start") <= 1
    assert gc.isenabled()


# The projection of a view finds these odd, not the decoder.
WRONG_TYPES = {"a status that is text", "a status that is a list"}
UNREADABLE = [pytest.param(obj, id=name) for name, obj in ODD.items() if name not in WRONG_TYPES]


@pytest.mark.parametrize("odd", UNREADABLE)
def test_one_odd_object_costs_a_list_no_other(odd, decoder):
    page = decode_page(a_list(text("a"), odd, text("b")), is_first=True)

    assert page.items == [stored("a"), stored("b")]
    assert [type(one) for one in page.malformed] == [Malformed]
    assert page.resource_version == "9"


def test_a_list_of_many_odd_objects_is_a_list(decoder):
    page = decode_page(a_list(text("a"), *ODD.values(), text("b")), is_first=True)

    assert [key_of(item).name for item in page.items if item["status"] == {"phase": "Running"}] == ["a", "b"]
    assert len(page.malformed) == len(UNREADABLE)


@pytest.mark.parametrize("odd", UNREADABLE)
@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED"])
def test_an_odd_object_does_not_break_a_watch(kind, odd, decoder):
    event = decode(an_event(kind, odd))

    assert isinstance(event, Malformed)
    assert event.why


@pytest.mark.parametrize("name", NAMED)
def test_what_can_be_read_of_an_odd_object_says_which_it_is(name, decoder):
    event = decode(an_event("DELETED", NAMED[name]))

    assert isinstance(event, Removed)  # that it is gone takes no more than its name
    assert key_of(event.obj) == ("hub", "odd")
    assert uid_of(event.obj) == ("" if "uid" in name else "uid-odd")


@pytest.mark.parametrize("name", NAMELESS)
def test_nobody_knows_which_object_without_a_name_is_gone(name, decoder):
    assert isinstance(decode(an_event("DELETED", NAMELESS[name])), Malformed)


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>",
        b"null",
        b"[]",
        b"{}",
        b'{"metadata": {}, "items": []}',
        b'{"metadata": {"resourceVersion": 5}, "items": []}',
        b'{"metadata": {"resourceVersion": "5"}, "items": {"a": 1}}',
        b'{"metadata": {"resourceVersion": "5"}, "items": "pods"}',
        b'{"metadata": {"resourceVersion": "5", "continue": {"a": 1}}, "items": []}',
        b'{"metadata": [' + DIGITS.encode() + b'], "items": []}',
        b"[" * 100_000,
    ],
    ids=lambda reply: str(reply[:40]),
)
def test_what_is_no_list_is_a_value_error(reply, decoder):
    with pytest.raises(ValueError):  # noqa: PT011 - the words of the decoder, too
        decode_page(reply, is_first=True)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("9", "10", True),
        ("10", "9", False),
        ("9", "9", False),
        ("", "9", False),
        ("a", "9", False),
        ("09", "10", True),
        ("010", "9", False),
        ("9", DIGITS, True),
        (DIGITS, "9", False),
        (DIGITS, DIGITS, False),
    ],
)
def test_is_older(one, other, expected):
    assert is_older(one, other) is expected
