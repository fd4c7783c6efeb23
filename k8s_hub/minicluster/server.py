"""The mini cluster as a command's work: run until told to stop, and leave nothing running."""

import asyncio
import secrets
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from k8s_hub.minicluster.cluster import ClusterOptions, MiniCluster, RuntimeChoice
from k8s_hub.minicluster.disk import write_atomically
from k8s_hub.minicluster.errors import DirectoryError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(
    directory: Path,
    port: int = 0,
    *,
    runtime: RuntimeChoice = "process",
    options: ClusterOptions | None = None,
    on_ready: Callable[[Path], None] = lambda _: None,
) -> None:
    """Run a cluster until SIGTERM, SIGINT or cancellation; ``on_ready`` gets the path of its kubeconfig.

    A cluster that is started again on the directory, and on the same port, lets the same clients in: the
    token stays. A ClusterError says in one sentence why it cannot run.
    """
    token = await asyncio.to_thread(_token, directory)
    chosen = replace(options or ClusterOptions(), port=port, token=token)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with MiniCluster(directory=directory, runtime=runtime, options=chosen) as cluster:
        for number in _SIGNALS:
            loop.add_signal_handler(number, stopped.set)
        try:
            path = directory / "kubeconfig"
            cluster.write_kubeconfig(path)
            on_ready(path)
            await _first(stopped.wait(), cluster.wait_broken())
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


async def _first(*works: Coroutine[Any, Any, object]) -> None:
    """Return, or raise, with the first of them; the others are cancelled."""
    tasks = {asyncio.ensure_future(work) for work in works}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()


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
