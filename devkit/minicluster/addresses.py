"""Gives each pod its own loopback address, so that all can listen on the same port."""

import errno
import secrets
import socket
from itertools import cycle, product
from pathlib import Path

# Candidates that are tried when addresses turn out to be taken, before the pod has to wait.
_ATTEMPTS = 100

_LISTENING = "0A"
_WILDCARDS = frozenset({"0" * 8, "0" * 32})


class AddressError(Exception):
    """No address is free for the pod. The message has the port and the reason."""


class Addresses:
    """The addresses 127.x.y.* of one cluster, from a random x and y on, because clusters share the machine."""

    def __init__(self) -> None:
        network, first = 16 + secrets.randbelow(239), secrets.randbelow(256)
        self._used: set[str] = set()
        self._candidates = cycle(
            f"127.{network}.{(first + third) % 256}.{fourth}"
            for third, fourth in product(range(256), range(1, 255))
        )

    def take(self, port: int) -> str:
        """Return an unused address on which ``port`` is free."""
        for _ in range(_ATTEMPTS):
            address = next(self._candidates)
            if address not in self._used and _is_free(address, port):
                self._used.add(address)
                return address
        raise AddressError(_diagnose(port))

    def give_back(self, address: str) -> None:
        """Release the address."""
        self._used.discard(address)


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def _diagnose(port: int) -> str:
    if any(_has_wildcard_listener(Path(table), port) for table in ("/proc/net/tcp", "/proc/net/tcp6")):
        return (
            f"another program on this machine listens on port {port} of every address (0.0.0.0:{port}), so no "
            f"pod can; stop it, or bind it to one address (it is found with: ss -ltnp 'sport = :{port}')"
        )
    return f"port {port} is not free on any of {_ATTEMPTS} loopback addresses"


def _has_wildcard_listener(table: Path, port: int) -> bool:
    """Look for a listener on all addresses; columns: https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.txt."""
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return False
    for line in lines:
        _, local, _, state, *_ = line.split()
        address, _, hexadecimal = local.partition(":")
        if state == _LISTENING and address in _WILDCARDS and int(hexadecimal, 16) == port:
            return True
    return False
