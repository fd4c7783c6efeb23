"""Decodes JSON of the API server with orjson, or with the standard library if orjson is not installed.

A hub's image that gets only this package's wheel may lack orjson. Both raise ValueError for invalid JSON, for too deep
nesting, and for numbers that are too large.

`members` and `elements` split a text that does not decode as a whole, so that one unreadable object in a list or watch does
not hide the others.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

try:
    import orjson
except ImportError:

    def loads(text: bytes | str) -> Any:
        """Decode a text."""
        try:
            return json.loads(text, parse_constant=_refuse, parse_float=_finite)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    def dumps(value: Any) -> str:
        """Encode a value."""
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def _refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    def _finite(text: str) -> float:
        number = float(text)
        if math.isinf(number):
            raise ValueError("a number is too large")
        return number

else:

    def loads(text: bytes | str) -> Any:
        """Decode a text."""
        return orjson.loads(text)

    def dumps(value: Any) -> str:
        """Encode a value."""
        return orjson.dumps(value).decode()


def members(text: bytes) -> dict[str, bytes]:
    """Return the members of a JSON object with their values as text; raise ValueError for anything else."""
    found = {}
    for part in _parts(text, b"{}"):
        name = _NAME.match(part)
        if name is None:
            raise ValueError("a member without a name")
        found[loads(name[1])] = part[name.end() :]
    return found


def elements(text: bytes) -> list[bytes]:
    """Return the elements of a JSON array as text; raise ValueError for anything else."""
    return list(_parts(text, b"[]"))


_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_NAME = re.compile(rb"\s*(" + _STRING + rb")\s*:", re.DOTALL)
_TOKEN = re.compile(_STRING + rb'|[][{},"]', re.DOTALL)


def _parts(text: bytes, brackets: bytes) -> Iterator[bytes]:
    """Yield the texts between the commas of the outermost brackets."""
    text = text.strip()
    if text[:1] != brackets[:1] or text[-1:] != brackets[1:]:
        raise ValueError(f"not in {brackets.decode()}")
    if not text[1:-1].strip():
        return
    depth, begun = 0, 1
    for token in _TOKEN.finditer(text, 1, len(text) - 1):
        sign = token[0]
        if sign in {b"[", b"{"}:
            depth += 1
        elif sign in {b"]", b"}"}:
            depth -= 1
        elif sign == b'"':
            raise ValueError("an unterminated string")
        elif sign == b"," and not depth:
            yield text[begun : token.start()]
            begun = token.end()
    if depth:
        raise ValueError("truncated")
    yield text[begun:-1]
