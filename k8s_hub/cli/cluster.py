"""``k8s-hub cluster``: a mini cluster that runs until it is told to stop."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from k8s_hub.cli import numbers
from k8s_hub.cli.signals import run_until_told
from k8s_hub.minicluster.cluster import ClusterOptions, MiniCluster
from k8s_hub.minicluster.errors import ClusterError


def run(arguments: Sequence[str]) -> int:
    """Start the cluster, print the path of its kubeconfig, and stay."""
    parsed = _parser().parse_args(arguments)
    try:
        return run_until_told(_serve(parsed.directory.absolute(), parsed.port, parsed.pods))
    except ClusterError as error:
        print(f"k8s-hub cluster: {error}", file=sys.stderr)
        return 1


async def _serve(directory: Path, port: int, pods: Literal["process", "listener"]) -> None:
    options = ClusterOptions(port=port)
    async with MiniCluster(directory=directory, runtime=pods, options=options) as cluster:
        cluster.write_kubeconfig(directory / "kubeconfig")
        print(directory / "kubeconfig", flush=True)
        await cluster.wait_broken()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="k8s-hub cluster",
        description="A Kubernetes API and one node on the loopback interface; for trying out, Linux only. "
        "Pods are processes of this machine, isolated no further than the operating system does.",
    )
    parser.add_argument("--directory", type=Path, required=True, help="for claims and the kubeconfig")
    parser.add_argument(
        "--port", type=numbers.port, default=0, help="of the API; 0, the default, is any free one"
    )
    parser.add_argument(
        "--pods",
        choices=["process", "listener"],
        default="process",
        help="process runs a pod's command; listener only answers on its port (default: %(default)s)",
    )
    return parser
