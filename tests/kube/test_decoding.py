"""Decoding with orjson and without: the same values, the same refusals."""

import importlib.util
import sys

import pytest

from k8s_hub.kube import decoding


@pytest.fixture(params=["orjson", "standard library"])
def decoder(request, monkeypatch):
    if request.param == "standard library":
        monkeypatch.setitem(sys.modules, "orjson", None)  # as if it were not installed
    module = importlib.util.module_from_spec(decoding.__spec__)
    decoding.__spec__.loader.exec_module(module)
    assert hasattr(module, "orjson") is (request.param == "orjson")
    return module


def test_what_is_written_is_read_again(decoder):
    value = {"name": "Ünal 用户", "items": [1, 2.5, None, True, {}], "quoted": 'a "b" \\ c'}
    text = decoder.dumps(value)
    assert decoder.loads(text) == decoder.loads(text.encode()) == value
    assert text == decoding.dumps(value)


@pytest.mark.parametrize(
    "text", [b"", b"<html>", b"{", b"NaN", b"[Infinity]", b'"\xff"', b"{} {}", b"[" * 100_000]
)
def test_what_is_no_json_is_a_value_error(decoder, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each decoder has its own words
        decoder.loads(text)
    assert str(caught.value)
