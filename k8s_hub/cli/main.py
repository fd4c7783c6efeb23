"""``k8s-hub VERB ...``: finds the verb and leaves its arguments to it."""

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from k8s_hub._version import __version__

VERBS = {
    "cull": "remove idle servers of a JupyterHub; takes the flags of jupyterhub-idle-culler",
    "doctor": "what stands in the way of this package on a cluster, and what to do about it",
    "volumes": "which claims belong to whom; removes, when told to, those that belong to nobody any more",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 for a failure, 2 for wrong usage, 128 and more for a signal."""
    parsed = _parser().parse_args(arguments)
    try:
        verb = import_module(f"k8s_hub.cli.{parsed.verb}")
        return int(verb.run(parsed.arguments))
    except KeyboardInterrupt:  # before the verb listens to signals: nothing was started yet
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="k8s-hub",
        description="A JupyterHub spawner and idle culler for Kubernetes.",
        epilog="\n".join(f"  {verb:10}{purpose}" for verb, purpose in VERBS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"k8s-hub {__version__}")
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help=f"one of {', '.join(VERBS)}")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="see k8s-hub VERB --help")
    return parser


if __name__ == "__main__":
    sys.exit(main())
