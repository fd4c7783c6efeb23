"""Labels and annotations of what the spawner creates."""

from traitlets import Dict, HasTraits, Unicode


class MetadataTraits(HasTraits):
    """Labels and annotations; values of the `extra_` options are templates."""

    common_labels = Dict(
        {
            "app.kubernetes.io/name": "jupyterhub",
            "app.kubernetes.io/managed-by": "kubespawner",
            "app": "jupyterhub",
            "heritage": "jupyterhub",
        },
        config=True,
        help="""
        Labels of every object that the spawner creates. They win over extra_labels.

        Two hubs in one namespace are told apart by "app.kubernetes.io/instance" or "release".
        """,
    )

    component_label = Unicode(
        "singleuser-server",
        config=True,
        help="""
        Value of the labels "component" and "app.kubernetes.io/component" of users' pods.

        Pods are watched by this label.
        """,
    )

    extra_labels = Dict(
        config=True,
        help="""
        Further labels of users' pods. Values are templates.

        The chart's network policies need "hub.jupyter.org/network-access-hub": "true".
        """,
    )

    extra_annotations = Dict(
        config=True,
        help="""
        Further annotations of users' pods. Values are templates.
        """,
    )
