"""``k8s-hub cull``: the idle culler, with its own flags."""

from collections.abc import Sequence

from k8s_hub.culler.application import IdleCuller


def run(arguments: Sequence[str]) -> int:
    """Run the culler until it ends."""
    IdleCuller.launch_instance(list(arguments))
    return 0
