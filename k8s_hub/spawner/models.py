"""The one edge to the client library's model classes, for hooks and subclasses that expect them.

Everywhere else objects are plain dicts, because the models cost ten times the time.
"""

import json
from functools import cache
from types import SimpleNamespace
from typing import Any

from kubernetes_asyncio.client import ApiClient, Configuration


class _Translator(ApiClient):
    """The client library's own translation between JSON and models, without its network side."""

    def __init__(self) -> None:
        self.configuration = Configuration()
        self.client_side_validation = False


@cache
def _translator() -> _Translator:
    """Make it once: each `Configuration` sets levels of loggers, and with that empties the cache of every logger."""
    return _Translator()


def to_json(value: Any) -> Any:
    """Return models, and models within lists and dicts, as the JSON that the API takes."""
    return _translator().sanitize_for_serialization(value)


def to_model(manifest: dict[str, Any], kind: str) -> Any:
    """Return a manifest as the model class of its kind, e.g. "V1Pod"."""
    response: Any = SimpleNamespace(data=json.dumps(manifest))
    return _translator().deserialize(response, kind)
