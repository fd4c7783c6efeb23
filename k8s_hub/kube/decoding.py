"""JSON as the API server writes it: by orjson, or by the standard library where there is none.

A hub's image that gets this package as a single file may have no orjson. Both refuse what is no JSON with ValueError.
"""

import json
from typing import Any

try:
    import orjson
except ImportError:

    def loads(text: bytes | str) -> Any:
        """Return what a text says."""
        try:
            return json.loads(text, parse_constant=_refuse)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    def dumps(value: Any) -> str:
        """Return a value as text."""
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def _refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

else:

    def loads(text: bytes | str) -> Any:
        """Return what a text says."""
        return orjson.loads(text)

    def dumps(value: Any) -> str:
        """Return a value as text."""
        return orjson.dumps(value).decode()
