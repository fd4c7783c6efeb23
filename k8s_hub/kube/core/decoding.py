"""JSON as the API server writes it: by orjson, or by the standard library where there is none.

A hub's image that gets this package as a single file may have no orjson. Both refuse what is no JSON, what is nested
too deeply and numbers beyond any use with ValueError.

`members` and `elements` split a text that is refused as a whole: one unreadable object in a list or a watch does not
make the others unreadable.
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
        """Return what a text says."""
        try:
            return json.loads(text, parse_constant=_refuse, parse_float=_finite)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    def dumps(value: Any) -> str:
        """Return a value as text."""
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def _refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    def _finite(text: str) -> float:
        number = float(text)
        if math.isinf(number):
            raise ValueError("a number is too large")
        return number

else:

    def loads(text: bytes | str) -> Any:
        """Return what a text says."""
        return orjson.loads(text)

    def dumps(value: Any) -> str:
        """Return a value as text."""
        return orjson.dumps(value).decode()


def members(text: bytes) -> dict[str, bytes]:
    """Return the members of a JSON object, each value still as text; raise ValueError where the text is no object."""
    found = {}
    for part in _parts(text, b"{}"):
        name = _NAME.match(part)
        if name is None:
            raise ValueError("a member without a name")
        found[loads(name[1])] = part[name.end() :]
    return found


def elements(text: bytes) -> list[bytes]:
    """Return the elements of a JSON array, each still as text; raise ValueError where the text is no array."""
    return list(_parts(text, b"[]"))


_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_NAME = re.compile(rb"\s*(" + _STRING + rb")\s*:", re.DOTALL)
_TOKEN = re.compile(_STRING + rb'|[][{},"]', re.DOTALL)


def _parts(text: bytes, brackets: bytes) -> Iterator[bytes]:
    """Yield what stands between the commas of the outermost brackets, however deeply it is nested."""
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
            raise ValueError("a string without an end")
        elif sign == b"," and not depth:
            yield text[begun : token.start()]
            begun = token.end()
    if depth:
        raise ValueError("cut off")
    yield text[begun:-1]
