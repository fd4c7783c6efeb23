"""What a user's container may use and is sure to get, beyond JupyterHub's own mem_ and cpu_ options."""

from traitlets import Dict, HasTraits


class ResourceTraits(HasTraits):
    """Resources other than memory and processors."""

    extra_resource_limits = Dict(
        config=True,
        help="""
        Limits of further resources, e.g. {"nvidia.com/gpu": "1"}.
        """,
    )

    extra_resource_guarantees = Dict(
        config=True,
        help="""
        Requests of further resources, e.g. {"nvidia.com/gpu": "1"}.
        """,
    )
