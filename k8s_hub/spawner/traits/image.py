"""The image of a user's container."""

from traitlets import HasTraits, List, Unicode, validate
from traitlets.utils.bunch import Bunch

from k8s_hub.spawner.traits.kinds import OneOf


class ImageTraits(HasTraits):
    """Which image is used and how it is pulled."""

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

    @validate("image_pull_secrets")
    def _one_name_is_a_list(self, proposal: Bunch) -> object:
        secrets = proposal.value
        return [{"name": secrets}] if isinstance(secrets, str) else secrets
