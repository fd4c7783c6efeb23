"""The hub's own words about many users, kept small: as JSON, which takes a third of what dictionaries take."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from k8s_hub.hub.users import Server, User
from k8s_hub.objects.raw import Raw


class Packed(Mapping[str, Any]):
    """A JSON object that is decoded anew whenever somebody looks into it. ``servers`` are its part of that name."""

    __slots__ = ("_servers", "_words")

    def __init__(self, words: Raw, servers: tuple[Server, ...] | None = None) -> None:
        self._words = json.dumps(words, separators=(",", ":")).encode()
        self._servers = servers

    def unpacked(self) -> dict[str, Any]:
        """Return it as the hub has sent it."""
        words: dict[str, Any] = json.loads(self._words)
        if self._servers is not None:
            words["servers"] = {server.name: unpacked(server.raw) for server in self._servers}
        return words

    def __getitem__(self, key: str) -> Any:
        return self.unpacked()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.unpacked())

    def __len__(self) -> int:
        return len(self.unpacked())


def packed(user: User) -> User:
    """Return the same user, whose words and whose servers' words are packed."""
    servers = user.servers and tuple(replace(server, raw=Packed(server.raw)) for server in user.servers)
    own = {key: value for key, value in user.raw.items() if key != "servers"}
    return replace(user, servers=servers, raw=Packed(own, servers))


def unpacked(raw: Raw) -> dict[str, Any]:
    """Return the hub's words as a dictionary, packed or not."""
    return raw.unpacked() if isinstance(raw, Packed) else dict(raw)
