"""The proxy's routes as the hub tells them: where a request to each server goes."""

from collections.abc import Mapping
from typing import Any

ServerKey = tuple[str, str]
"""A user's name, and a server's: "" is the default one."""


def routes_of(raw: Mapping[str, Any]) -> dict[ServerKey, str]:
    """Return each server's URL, the proxy left out; routes of services and what makes no sense are skipped."""
    found: dict[ServerKey, str] = {}
    for route in raw.values():
        match route:
            case {
                "data": {"user": str(user), "server_name": str(name)},
                "target": str(target),
                "routespec": str(spec),
            } if "/" in spec:
                # With a domain for each user, a host is in front of the path.
                found[user, name] = target.rstrip("/") + spec[spec.index("/") :]
    return found
