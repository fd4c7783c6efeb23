"""The proxy's routes as the hub tells them: where a request to each server goes."""

from collections.abc import Mapping
from typing import Any

ServerKey = tuple[str, str]
"""A user's name, and a server's: "" is the default one."""


def routes_of(raw: Mapping[str, Any]) -> dict[ServerKey, str]:
    """Return each server's address, such as http://10.0.0.7:8888; routes of services and junk are skipped."""
    found: dict[ServerKey, str] = {}
    for route in raw.values():
        match route:
            case {"data": {"user": str(user), "server_name": str(name)}, "target": str(target)}:
                found[user, name] = target
    return found
