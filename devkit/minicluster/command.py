"""``python -m devkit cluster``: a mini cluster that runs until it is told to stop."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from devkit.minicluster.errors import ClusterError
from devkit.minicluster.server import serve
from k8s_hub.cli import numbers
from k8s_hub.signals import run_until_told


def run(arguments: Sequence[str]) -> int:
    """Start the cluster, print the path of its kubeconfig, and stay."""
    parsed = _parser().parse_args(arguments)
    try:
        served = serve(parsed.directory.absolute(), parsed.port, runtime=parsed.pods, on_ready=_tell)
        return run_until_told(served)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1


def _tell(kubeconfig: Path) -> None:
    print(kubeconfig, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devkit cluster",
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
