"""Decoding with orjson and without: the same values, the same refusals."""

import json

import pytest


def test_what_is_written_is_read_again(decoder):
    value = {"name": "Ünal 用户", "items": [1, 2.5, None, True, {}], "quoted": 'a "b" \\ c'}
    text = decoder.dumps(value)
    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert decoder.loads(text) == decoder.loads(text.encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"{",
        b"NaN",
        b"[Infinity]",
        b'"\xff"',
        b"{} {}",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"1" * 5_000,
        b"[-" + b"9" * 5_000 + b"]",
        b"1e400",
    ],
    ids=lambda text: repr(text[:10]) + f" of {len(text)}",
)
def test_what_is_no_json_is_a_value_error(decoder, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each decoder has its own words
        decoder.loads(text)
    assert str(caught.value)


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{}", {}),
        (b' { "a" : 1 , "b": [2, {"c": 3}] } ', {"a": 1, "b": [2, {"c": 3}]}),
        (rb'{"\u0061, \"}": "] , \\", "c": "{"}', {'a, "}': "] , \\", "c": "{"}),
        ('{"Ünal": "用,户"}'.encode(), {"Ünal": "用,户"}),
    ],
)
def test_the_members_of_an_object_are_those_it_has(decoder, text, expected):
    assert {name: decoder.loads(part) for name, part in decoder.members(text).items()} == expected
    assert expected == json.loads(text)


@pytest.mark.parametrize("text", [b"[]", b" [ ] ", b'[1,[2,3],"4,5",{"a":[6,7]},null]'])
def test_the_elements_of_an_array_are_those_it_has(decoder, text):
    assert [decoder.loads(part) for part in decoder.elements(text)] == json.loads(text)


def test_the_rest_can_be_read_beside_what_is_nested_too_deeply(decoder):
    parts = decoder.members(b'{"before": 1, "deep": ' + DEEP + b', "after": [2]}')

    assert parts["deep"].strip() == DEEP
    assert (decoder.loads(parts["before"]), decoder.loads(parts["after"])) == (1, [2])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"1",
        b"[]",
        b"{",
        b'{"a": {}',
        b'{"a: 1}',
        b'{"a": [1}',
        b"{1: 2}",
        b'{"a"}',
        b'{"' + b'\\"' * 100_000 + b"}",
    ],
    ids=lambda text: repr(text[:10]),
)
def test_what_is_no_object_has_no_members(decoder, text):
    with pytest.raises(ValueError):  # noqa: PT011 - which of its faults is met first is no promise
        decoder.members(text)
