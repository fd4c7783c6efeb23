"""``python -m devkit VERB ...``: finds the verb and passes its arguments on."""

import sys
from collections.abc import Sequence

from k8s_hub.cli.main import parser_of, run_verb

VERBS = {
    "chaos": (
        "devkit.chaos.command",
        "a hub under load and faults, on a real API server, and what went wrong",
    ),
    "demo": ("devkit.demo.command", "the whole story on this machine: log in, work, go idle, come back"),
    "perturb": (
        "devkit.perturb.command",
        "kill the hub at each of its writes, and judge what is left",
    ),
    "cluster": (
        "devkit.minicluster.command",
        "a mini Kubernetes cluster for trials; prints the path of its kubeconfig",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 for a failure, 2 for wrong usage, 128 and more for a signal."""
    parser = parser_of(
        VERBS, prog="python -m devkit", description="Tools that run only from a checkout of k8s_hub."
    )
    return run_verb(VERBS, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
