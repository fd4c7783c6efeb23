"""A user's home volume, and other mounts."""

from traitlets import Bool, Dict, HasTraits, List, TraitError, Unicode, validate
from traitlets.utils.bunch import Bunch

from k8s_hub.claims.extra import parse_extra_claims
from k8s_hub.objects import quantities
from k8s_hub.spawner.config.kinds import OneOf


class StorageTraits(HasTraits):
    """The home claim, volumes and mounts."""

    storage_pvc_ensure = Bool(
        False,
        config=True,
        help="""
        Whether the spawner creates the server's home claim if it is missing.

        To mount the claim, name it in volumes, as {pvc_name}.
        """,
    )

    delete_pvc = Bool(
        False,
        config=True,
        help="""
        Whether a home claim is deleted when its named server or its user is deleted in JupyterHub.

        False (unlike KubeSpawner): files are never removed with a user or a server. With True, the spawner
        deletes a claim only if storage_pvc_ensure is true, too, and if the claim is surely this server's and no other's.
        """,
    )

    storage_capacity = Unicode(
        None,
        allow_none=True,
        config=True,
        help="""
        Size requested for a new home claim, as a Kubernetes quantity, e.g. "10Gi".

        Required when storage_pvc_ensure is true. An existing claim keeps its size, unless storage_grow is true.
        """,
    )

    storage_grow = Bool(
        False,
        config=True,
        help="""
        Whether a claim that asks for less than is configured is enlarged before its server starts.

        For the home (storage_capacity) and extra_claims; nothing ever shrinks. Needs a storage class that allows
        expansion and, for the hub, the right to patch persistentvolumeclaims; without them the log says so and
        the server starts all the same.
        """,
    )

    storage_same_node = Bool(
        True,
        config=True,
        help="""
        Whether a server that shares a ReadWriteOnce claim with another running server of its user is placed on
        that server's node, where the disk is.

        For the home and extra_claims. False: anywhere, for volumes that any number of nodes can mount whatever
        their claims say, such as NFS.
        """,
    )

    extra_claims = OneOf(
        [List(), Dict()],
        config=True,
        help="""
        Claims besides the home, created like it and mounted into the user's container: a list, or a dict by name.

        Required keys: name, capacity, mount_path. Optional ones: name_template ("<name>--{user_server}"),
        storage_class, access_modes (["ReadWriteOnce"]), sub_path, read_only, and keep: "keep" (the default), or
        "with-server" for a claim that is deleted with its named server or its user. name_template, mount_path and
        sub_path are templates. The pod's volume is called "extra-<name>". For example
        {"scratch": {"capacity": "50Gi", "mount_path": "/scratch", "storage_class": "fast"}}.
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

    volumes = OneOf(
        [List(), Dict()],
        config=True,
        help="""
        Volumes of the user's pod: a list, or a dict whose values are used in the order of their keys.
        Strings are templates: {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}.
        """,
    )

    volume_mounts = OneOf(
        [List(), Dict()],
        config=True,
        help="""
        Where the volumes are mounted in the user's container: a list, or a dict whose values are used in
        the order of their keys. Strings are templates: {"name": "home", "mountPath": "/home/jovyan"}.
        """,
    )

    @validate("extra_claims")
    def _are_extra_claims(self, proposal: Bunch) -> object:
        try:
            parse_extra_claims(proposal.value)
        except ValueError as error:
            raise TraitError(f"KubeSpawner.extra_claims{error}") from error
        return proposal.value

    @validate("storage_capacity")
    def _is_quantity(self, proposal: Bunch) -> object:
        if proposal.value is not None:
            try:
                quantities.parse(proposal.value)
            except ValueError as error:
                raise TraitError(f"KubeSpawner.storage_capacity: {error}") from error
        return proposal.value
