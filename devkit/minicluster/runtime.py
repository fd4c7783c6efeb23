"""The interface between the kubelet and container runtimes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from k8s_hub.objects.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A container to run."""

    pod: Raw
    #: The container's part of the pod.
    container: Raw
    #: Its own loopback address, and the port on which it should listen.
    address: str
    port: int
    #: The directory of its first claim, or a directory that is removed with the pod.
    home: Path
    #: The log file, to append to.
    log: Path
    #: Returns a Secret of the pod's namespace by its name.
    find_secret: Callable[[str], Raw | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a container ended."""

    code: int
    #: Completed, Error, OOMKilled, ...
    reason: str
    message: str = ""

    @classmethod
    def of(cls, code: int) -> Self:
        """Return the exit with the kubelet's reason for this code."""
        return cls(code=code, reason="Completed" if code == 0 else "Error")


class StartError(Exception):
    """The container cannot be started. ``reason`` is the waiting reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Container(Protocol):
    """A started container."""

    async def wait(self) -> Exit:
        """Return when it has ended, and how."""
        ...

    async def stop(self, grace_seconds: float) -> None:
        """Ask it to end; after the grace period, kill it. Return when nothing of it is left."""
        ...


class Runtime(Protocol):
    """Starts containers."""

    async def start(self, order: Order) -> Container:
        """Start it and return once it runs; raise StartError without leaving anything behind."""
        ...
