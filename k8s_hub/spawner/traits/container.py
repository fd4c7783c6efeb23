"""What runs in a user's pod."""

from jupyterhub.traitlets import Command
from traitlets import Dict, HasTraits, List, Unicode, default

from k8s_hub.spawner.traits.kinds import OneOf


class ContainerTraits(HasTraits):
    """The user's container, its companions, and what no other option covers."""

    cmd = Command(
        None,
        allow_none=True,
        minlen=0,
        config=True,
        help="""
        Command of the user's container, as a list or, if it is one word, as a string; it is given to the
        image's entry point as arguments.

        None: the image's own command.
        """,
    )

    working_dir = Unicode(
        None,
        allow_none=True,
        config=True,
        help="""
        Directory in which the command starts. A template. None: the image's own.
        """,
    )

    lifecycle_hooks = Dict(
        config=True,
        help="""
        Kubernetes lifecycle hooks of the user's container, e.g. {"postStart": {"exec": {"command": [...]}}}.
        """,
    )

    init_containers = OneOf(
        [List(), Dict()],
        config=True,
        help="""
        Containers that run to their end before the user's: a list, or a dict whose values are used in the
        order of their keys (so that a profile can change one of them). Strings are templates.
        """,
    )

    extra_containers = OneOf(
        [List(), Dict()],
        config=True,
        help="""
        Containers that run beside the user's: a list, or a dict as in init_containers. Strings are templates.
        """,
    )

    extra_container_config = Dict(
        config=True,
        help="""
        Fields of the user's container that no other option sets. Each replaces a whole field.
        """,
    )

    extra_pod_config = Dict(
        config=True,
        help="""
        Fields of the pod's spec that no other option sets. Each replaces a whole field. Strings are templates.
        """,
    )

    @default("env_keep")
    def _keep_nothing_of_the_hub_s_environment(self) -> list[str]:
        return []
