"""The contents of a user's pod: the image, the container with its resources, and further containers."""

from jupyterhub.traitlets import Command
from traitlets import Dict, HasTraits, List, Unicode, default, validate
from traitlets.utils.bunch import Bunch

from k8s_hub.spawner.config.kinds import ByteSize, OneOf


class ContainerTraits(HasTraits):
    """The user's container, those beside it, and what no other option covers."""

    image = Unicode(
        "quay.io/jupyterhub/singleuser:latest",
        config=True,
        help="""
        Image of the user's container, e.g. "quay.io/jupyter/base-notebook:2025-01-01".

        It needs the package jupyterhub of the hub's major version.
        """,
    )

    image_pull_policy = Unicode(
        None,
        allow_none=True,
        config=True,
        help="""
        When the image is pulled: "Always", "IfNotPresent" or "Never".

        None: Kubernetes decides ("Always" for the tag latest, otherwise "IfNotPresent").
        """,
    )

    image_pull_secrets = OneOf(
        [List(), Unicode()],
        config=True,
        help="""
        Secrets with the credentials of private registries: names, or references like {"name": "regcred"}.
        """,
    )

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

    mem_limit = ByteSize(
        None,
        config=True,
        help="""
        Limit of the container's memory: bytes, or text with the suffix K, M, G or T, such as "2G"; 1K is 1024 bytes.

        Kubernetes ends a container that uses more. None: the hub sets no limit.
        """,
    )

    mem_guarantee = ByteSize(
        None,
        config=True,
        help="""
        Request of the container's memory, written as in mem_limit: Kubernetes finds a node that has it free.

        None: the hub sets no request, and Kubernetes takes mem_limit, if it is set.
        """,
    )

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

    @validate("image_pull_secrets")
    def _one_name_is_a_list(self, proposal: Bunch) -> object:
        secrets = proposal.value
        return [{"name": secrets}] if isinstance(secrets, str) else secrets

    @default("env_keep")
    def _keep_nothing_of_the_hub_s_environment(self) -> list[str]:
        return []
