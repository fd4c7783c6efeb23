"""The mini cluster as a command's work: run until cancelled, and leave nothing running."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from devkit.minicluster.cluster import ClusterOptions, MiniCluster, RuntimeChoice
from devkit.minicluster.disk import write_atomically
from devkit.minicluster.errors import DirectoryError


async def serve(
    directory: Path,
    port: int = 0,
    *,
    runtime: RuntimeChoice = "process",
    options: ClusterOptions | None = None,
    on_ready: Callable[[Path], None] = lambda _: None,
) -> None:
    """Run a cluster until cancellation; ``on_ready`` gets the path of its kubeconfig.

    A cluster that is started again on the directory, and on the same port, lets the same clients in: the
    token stays. A ClusterError says in one sentence why it cannot run.
    """
    chosen = replace(options or ClusterOptions(), port=port, token=_token(directory))
    async with MiniCluster(directory=directory, runtime=runtime, options=chosen) as cluster:
        path = directory / "kubeconfig"
        cluster.write_kubeconfig(path)
        on_ready(path)
        await cluster.wait_broken()


def _token(directory: Path) -> str:
    """Return the token that belongs to the directory, a new one for a new directory."""
    path = directory / "token"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            write_atomically(path, secrets.token_urlsafe(24).encode())
        return path.read_text().strip()
    except OSError as error:
        raise DirectoryError(f"The directory {directory} cannot be used: {error.strerror}.") from error
