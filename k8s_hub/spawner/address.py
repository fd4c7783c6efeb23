"""Where a server listens: URLs as hooks and pods give them, and their parts as the hub keeps them."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """What JupyterHub takes of a server's URL."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the address in a URL."""
        parts = urlsplit(url)
        return cls(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def alt_name(host: str) -> str:
    """Return a host name or an address as a certificate has it."""
    try:
        return f"IP:{ip_address(host.strip('[]'))}"
    except ValueError:
        return f"DNS:{host}"


def in_url(host: str) -> str:
    """Return a host name or an address as a URL has it."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
