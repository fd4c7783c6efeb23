"""A user's home volume, and what else is mounted."""

from traitlets import Bool, Dict, HasTraits, List, TraitError, Unicode, Union, validate
from traitlets.utils.bunch import Bunch

from k8s_hub.objects import quantities


class StorageTraits(HasTraits):
    """The home claim, volumes and mounts."""

    storage_pvc_ensure = Bool(
        False,
        config=True,
        help="""
        Whether the spawner sees to it that the server's home claim exists.

        The claim must also be named in volumes, as {pvc_name}, to be mounted.
        """,
    )

    delete_pvc = Bool(
        False,
        config=True,
        help="""
        Whether a home claim is deleted when its named server or its user is deleted in JupyterHub.

        False (unlike KubeSpawner): files are never removed with a user or a server. With True, only a claim
        that is surely this server's and no other's is deleted.
        """,
    )

    storage_capacity = Unicode(
        None,
        allow_none=True,
        config=True,
        help="""
        Size requested for a new home claim, as a Kubernetes quantity, e.g. "10Gi".

        Required when storage_pvc_ensure is true. An existing claim keeps its size.
        """,
    )

    storage_class = Unicode(
        None,
        allow_none=True,
        config=True,
        help="""
        Storage class of a new home claim.

        None: the cluster's default. Empty: no class, for volumes that were made beforehand.
        """,
    )

    storage_access_modes = List(
        ["ReadWriteOnce"],
        config=True,
        help="""
        Access modes of a new home claim.
        """,
    )

    storage_extra_labels = Dict(
        config=True,
        help="""
        Further labels of a new home claim. Values are templates.
        """,
    )

    storage_extra_annotations = Dict(
        config=True,
        help="""
        Further annotations of a new home claim. Values are templates.
        """,
    )

    storage_selector = Dict(
        config=True,
        help="""
        Selector of the volumes that a new home claim may be bound to, e.g. {"matchLabels": {"tier": "home"}}.
        Strings are templates.
        """,
    )

    volumes = Union(
        [List(), Dict()],
        default_value=[],
        config=True,
        help="""
        Volumes of the user's pod: a list, or a dict whose values are used in the order of their keys.
        Strings are templates: {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}.
        """,
    )

    volume_mounts = Union(
        [List(), Dict()],
        default_value=[],
        config=True,
        help="""
        Where the volumes are mounted in the user's container: a list, or a dict whose values are used in
        the order of their keys. Strings are templates: {"name": "home", "mountPath": "/home/jovyan"}.
        """,
    )

    @validate("storage_capacity")
    def _is_quantity(self, proposal: Bunch) -> object:
        if proposal.value is not None:
            try:
                quantities.parse(proposal.value)
            except ValueError as error:
                raise TraitError(f"KubeSpawner.storage_capacity: {error}") from error
        return proposal.value
