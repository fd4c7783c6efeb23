"""The address of a server: URLs as hooks and pods give them, and their parts as the hub stores them."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a server's URL that JupyterHub uses."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the address in a URL."""
        parts = urlsplit(url)
        return cls(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def alt_name(host: str) -> str:
    """Return a host name or an IP address in the form of a certificate's alternative name."""
    try:
        return f"IP:{ip_address(host.strip('[]'))}"
    except ValueError:
        return f"DNS:{host}"


def in_url(host: str) -> str:
    """Return a host name or an IP address in the form for a URL."""
    try:
        return f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        return host


def url_in_row(server: Any) -> str | None:
    """Return the URL in the hub's row of a server, even from an earlier spawner; None before the hub knows it."""
    return server.url if server is not None and server.ip else None


def host_in_row(server: Any) -> str | None:
    """Return the IP or host name in the hub's row of a server; "" before the hub knows it, None without a row."""
    return None if server is None else server.ip or ""
