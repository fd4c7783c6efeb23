"""``python -m devkit VERB ...``: finds the verb and leaves its arguments to it."""

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

VERBS = {
    "demo": ("devkit.demo.command", "the whole story on this machine: log in, work, go idle, come back"),
    "cluster": (
        "devkit.minicluster.command",
        "a mini Kubernetes cluster for trying out; prints the path of its kubeconfig",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 for a failure, 2 for wrong usage, 128 and more for a signal."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(import_module(VERBS[parsed.verb][0]).run(parsed.arguments))
    except KeyboardInterrupt:  # before the verb listens to signals: nothing was started yet
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devkit",
        description="What runs from a checkout of k8s_hub only.",
        epilog="\n".join(f"  {verb:10}{purpose}" for verb, (_, purpose) in VERBS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help=f"one of {', '.join(VERBS)}")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="...", help="see python -m devkit VERB --help"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
