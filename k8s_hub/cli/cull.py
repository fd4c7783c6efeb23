"""``k8s-hub cull``: the idle culler; ``k8s-hub cull explain``: its decisions about one user's servers."""

from collections.abc import Sequence

from k8s_hub.culler.application import IdleCuller


def run(arguments: Sequence[str]) -> int:
    """Run the culler until it ends, or explain."""
    if arguments and arguments[0] == "explain":
        from k8s_hub.culler.explain import Explain

        Explain.launch_instance(list(arguments[1:]))
    else:
        IdleCuller.launch_instance(list(arguments))
    return 0
