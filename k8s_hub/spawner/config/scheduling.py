"""The scheduling of a user's pod."""

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
        Labels that a node must have to run the user's pod, e.g. {"disktype": "ssd"}.
        """,
    )

    tolerations = OneOf(
        [List(), Dict()],
        config=True,
        help="""
        Taints of nodes that the user's pod tolerates: a list, or a dict whose values are used in the
        order of their keys.
        """,
    )

    node_affinity_preferred = _terms("Preferred node affinity terms, with weights")
    node_affinity_required = _terms("Required node affinity terms")
    pod_affinity_preferred = _terms("Preferred pod affinity terms, with weights")
    pod_affinity_required = _terms("Required pod affinity terms")
    pod_anti_affinity_preferred = _terms("Preferred pod anti-affinity terms, with weights")
    pod_anti_affinity_required = _terms("Required pod anti-affinity terms")
