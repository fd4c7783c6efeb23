"""A node's network: a bridge of its own with an address for the host, and no route to the outside."""

import contextlib
import ipaddress
import json
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from devkit.realcluster.build import ClusterUnavailableError
from devkit.realcluster.folders import PREFIX, exclusive

BRIDGE_PREFIX = "khb-"  # a link's name has at most 15 characters
LINKS = Path("/sys/class/net")
CANDIDATES = IPv4Network("10.210.0.0/16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The bridge of a cluster, and the addresses of its pods."""

    bridge: str
    pods: IPv4Network

    @property
    def gateway(self) -> IPv4Address:
        """The host's own address on the bridge."""
        return next(self.pods.hosts())


def bridge_of(folder: str) -> str:
    """The name of the bridge of the cluster with a folder of this name."""
    return BRIDGE_PREFIX + folder.removeprefix(PREFIX)


@contextlib.contextmanager
def made_network(folder: str) -> Iterator[Network]:
    """Create a bridge with unused addresses."""
    try:
        with exclusive("network"):
            network = Network(bridge=bridge_of(folder), pods=free_network(_destinations()))
            _ip("link", "add", "name", network.bridge, "type", "bridge")
            address = f"{network.gateway}/{network.pods.prefixlen}"
            _ip("address", "add", address, "dev", network.bridge)
            _ip("link", "set", network.bridge, "up")
        yield network
    finally:
        remove_bridge(bridge_of(folder))


def remove_bridge(bridge: str) -> None:
    """Remove a bridge, if it exists. Its other ends vanished with the containers' network namespaces."""
    if (LINKS / bridge).exists():
        _ip("link", "delete", bridge)


def free_network(destinations: Iterable[str]) -> IPv4Network:
    """Return a network that no destination of a route overlaps."""
    taken = [ipaddress.ip_network(one) for one in destinations if one[0].isdigit()]  # not `default`
    for candidate in CANDIDATES.subnets(new_prefix=24):
        if not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise ClusterUnavailableError(f"Every network in {CANDIDATES} is in use on this machine.")


def _destinations() -> list[str]:
    return [route["dst"] for route in json.loads(_ip("-4", "-json", "route", "show", "table", "all"))]


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
