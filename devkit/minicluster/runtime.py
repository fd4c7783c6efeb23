"""What a kubelet needs from whatever runs containers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from k8s_hub.objects.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One container to run."""

    pod: Raw
    #: The container's part of the pod.
    container: Raw
    #: Its own loopback address, and the port that it is expected to listen on.
    address: str
    port: int
    #: The directory of the claim that it mounts first, or a directory of its own that goes with the pod.
    home: Path
    #: Where what it prints is appended.
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
        """Return the exit with the reason that a kubelet gives to this code."""
        return cls(code=code, reason="Completed" if code == 0 else "Error")


class StartError(Exception):
    """The container cannot be started; ``reason`` is the waiting reason, the message the cause."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Container(Protocol):
    """A container that was started."""

    async def wait(self) -> Exit:
        """Return when it has ended, and how."""
        ...

    async def stop(self, grace_seconds: float) -> None:
        """Ask it to end, after the grace period make it; returns when nothing of it is left."""
        ...


class Runtime(Protocol):
    """What starts containers."""

    async def start(self, order: Order) -> Container:
        """Return when it runs; raises StartError, and leaves nothing behind then."""
        ...
