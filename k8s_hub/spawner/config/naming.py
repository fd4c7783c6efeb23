"""How the objects of a server are named and labelled."""

from traitlets import Bool, Dict, Enum, HasTraits, Unicode


class NamingTraits(HasTraits):
    """Names, labels and annotations; templates take the fields of the reference's page on templates."""

    slug_scheme = Enum(
        ["safe", "escape"],
        "safe",
        config=True,
        help="""
        How user and server names become parts of object names.

        "safe": valid names of any user name, with a hash where something was changed.
        "escape": the scheme of KubeSpawner before 7, which can give invalid or colliding names.
        """,
    )

    handle_legacy_names = Bool(
        True,
        config=True,
        help="""
        Whether a home claim named by an earlier naming scheme is found and used.

        Turn it off only in a hub that never ran an earlier version.
        """,
    )

    pod_name_template = Unicode(
        "jupyter-{user_server}",
        config=True,
        help="""
        Template of the name of a server's pod. It must be different for every server.
        """,
    )

    pvc_name_template = Unicode(
        "claim-{user_server}",
        config=True,
        help="""
        Template of the name of a server's home claim, available elsewhere as {pvc_name}.

        A template without the user's name makes one claim that all users share; it is never deleted.
        """,
    )

    remember_pvc_name = Bool(
        True,
        config=True,
        help="""
        Whether a server keeps the claim that it once had when its template or the naming scheme changes.
        """,
    )

    dns_name_template = Unicode(
        "{name}.{namespace}.svc.cluster.local",
        config=True,
        help="""
        Template of the DNS name of a server's pod, from {name} and {namespace}.
        """,
    )

    common_labels = Dict(
        {
            "app.kubernetes.io/name": "jupyterhub",
            "app.kubernetes.io/managed-by": "kubespawner",
            "app": "jupyterhub",
            "heritage": "jupyterhub",
        },
        config=True,
        help="""
        Labels of every object that the spawner creates. They override extra_labels.

        The label "app.kubernetes.io/instance" or "release" distinguishes two hubs in one namespace.
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
