"""On which machine a user's pod runs."""

from traitlets import Dict, HasTraits, List, Unicode

from k8s_hub.spawner.config.kinds import OneOf


def _terms(where: str) -> OneOf:
    return OneOf(
        [List(), Dict()],
        config=True,
        help=f"""
        {where}.

        A list of terms as in the Kubernetes API, or a dict whose values are used in the order of their keys.
        """,
    )


class SchedulingTraits(HasTraits):
    """Node selection, affinities, tolerations, priority."""

    scheduler_name = Unicode(
        None,
        allow_none=True,
        config=True,
        help="""
        Scheduler that places the user's pod. None: the cluster's default.
        """,
    )

    priority_class_name = Unicode(
        "",
        config=True,
        help="""
        Priority class of the user's pod. Empty: the cluster's default.
        """,
    )

    node_selector = Dict(
        config=True,
        help="""
        Labels that a machine must have to run the user's pod, e.g. {"disktype": "ssd"}.
        """,
    )

    tolerations = OneOf(
        [List(), Dict()],
        config=True,
        help="""
        Taints of machines that the user's pod tolerates: a list, or a dict whose values are used in the
        order of their keys.
        """,
    )

    node_affinity_preferred = _terms("Machines that are preferred, with weights")
    node_affinity_required = _terms("Machines that are possible at all")
    pod_affinity_preferred = _terms("Pods that it is good to be near to, with weights")
    pod_affinity_required = _terms("Pods that it must be near to")
    pod_anti_affinity_preferred = _terms("Pods that it is good to be away from, with weights")
    pod_anti_affinity_required = _terms("Pods that it must be away from")
