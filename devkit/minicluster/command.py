"""``python -m devkit cluster``: runs a mini cluster until a signal."""

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from devkit.minicluster.cluster import ClusterOptions, MiniCluster, RuntimeChoice
from devkit.minicluster.disk import write_atomically
from devkit.minicluster.errors import ClusterError, DirectoryError
from devkit.minicluster.kubelet import Latencies
from devkit.minicluster.node import Node
from k8s_hub.cli import numbers
from k8s_hub.signals import run_until_told

REGISTRY_SECONDS = 2.0
"""Seconds until an image counts as missing: enough to see the server start."""


def run(arguments: Sequence[str]) -> int:
    """Start the cluster, print the path of its kubeconfig, and stay."""
    parsed = _parser().parse_args(arguments)
    try:
        served = serve(
            parsed.directory.absolute(),
            parsed.port,
            runtime=parsed.pods,
            options=_options(parsed),
            on_ready=_tell,
        )
        return run_until_told(served)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1


def _options(parsed: argparse.Namespace) -> ClusterOptions:
    options = ClusterOptions(
        missing_images=frozenset(parsed.missing_image), latencies=Latencies(refuse=REGISTRY_SECONDS)
    )
    return replace(options, node=Node(fits_all=True), storage_classes=None) if parsed.fits_all else options


def _tell(kubeconfig: Path) -> None:
    print(kubeconfig, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devkit cluster",
        description="Runs a Kubernetes API and one node on the loopback interface; for trials, Linux only. "
        "Pods are processes of this machine, isolated no further than the operating system does.",
    )
    parser.add_argument(
        "--directory", type=Path, required=True, help="directory for claims and the kubeconfig"
    )
    parser.add_argument(
        "--port", type=numbers.port, default=0, help="port of the API (default: 0, any free port)"
    )
    parser.add_argument(
        "--pods",
        choices=["process", "listener"],
        default="process",
        help="process runs a pod's command; listener only answers on its port (default: %(default)s)",
    )
    parser.add_argument(
        "--missing-image",
        action="append",
        default=[],
        metavar="IMAGE",
        help="an image that does not exist; may be repeated (default: all images exist)",
    )
    parser.add_argument(
        "--fits-all",
        action="store_true",
        help="the node has every label and device that a pod asks for, and every storage class provides volumes",
    )
    return parser


async def serve(
    directory: Path,
    port: int = 0,
    *,
    runtime: RuntimeChoice = "process",
    options: ClusterOptions | None = None,
    on_ready: Callable[[Path], None] = lambda _: None,
) -> None:
    """Run a cluster until it is cancelled; ``on_ready`` gets the path of its kubeconfig.

    After a restart with the same directory and port, the same token is valid. Raises ClusterError with one sentence.
    """
    chosen = replace(options or ClusterOptions(), port=port, token=_token(directory))
    async with MiniCluster(directory=directory, runtime=runtime, options=chosen) as cluster:
        path = directory / "kubeconfig"
        cluster.write_kubeconfig(path)
        on_ready(path)
        await cluster.wait_broken()


def _token(directory: Path) -> str:
    """Return the token of the directory, a new one for a new directory."""
    path = directory / "token"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            write_atomically(path, secrets.token_urlsafe(24).encode())
        return path.read_text().strip()
    except OSError as error:
        raise DirectoryError(f"The directory {directory} cannot be used: {error.strerror}.") from error
