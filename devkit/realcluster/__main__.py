"""`python -m devkit.realcluster [VERB]`: runs a real cluster for trials.

run (default)  a control plane with nodes simulated by kwok, until Ctrl-C; prints the path of its kubeconfig
up, down       a cluster with containers in the background
keep           the same in the foreground: what `up` starts
"""

import argparse
import sys
from pathlib import Path

from devkit.realcluster.controlplane import control_plane
from devkit.realcluster.daemon import REPOSITORY, Daemon, run_until_signal


def main() -> int:
    """Run the verb."""
    parser = argparse.ArgumentParser(
        prog="python -m devkit.realcluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", nargs="?", default="run", choices=["run", "up", "down", "keep"])
    parser.add_argument(
        "--hub", type=int, action="append", default=[], help="bring in the users' image of this JupyterHub"
    )
    parser.add_argument(
        "--folder", type=Path, default=REPOSITORY / ".cluster", help="its kubeconfig and logs"
    )
    parsed = parser.parse_args()
    daemon = Daemon(parsed.folder)
    match parsed.verb:
        case "up":
            return daemon.up(parsed.hub)
        case "down":
            return daemon.down()
        case "keep":
            return daemon.keep(parsed.hub)
        case _:
            return run()


def run() -> int:
    """Run a control plane until SIGINT or SIGTERM."""
    return run_until_signal(control_plane(), lambda plane: print(plane.layout.kubeconfig, flush=True))


if __name__ == "__main__":
    sys.exit(main())
