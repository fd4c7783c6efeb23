"""The Kubernetes API that the spawner uses, its namespaces, and its time-outs."""

from traitlets import Bool, Dict, HasTraits, Integer, Unicode, default

from k8s_hub.kube.configuration import pod_namespace


class ClusterTraits(HasTraits):
    """The connection to the Kubernetes API and the namespace that users' servers live in."""

    namespace = Unicode(
        config=True,
        help="""
        Namespace in which users' pods and claims are created.

        Default: the namespace of the hub's own pod, or "default" outside a cluster. With
        `enable_user_namespaces`, `user_namespace_template` takes its place.
        """,
    )

    enable_user_namespaces = Bool(
        False,
        config=True,
        help="""
        Whether each user's pods and claims live in a namespace of the user's own, `user_namespace_template`.

        A missing namespace is created, and none is ever deleted. The hub needs rights in these namespaces:
        docs/howto/user-namespaces.md has them.
        """,
    )

    user_namespace_template = Unicode(
        "{hubnamespace}-{username}",
        config=True,
        help="""
        Name of a user's namespace with `enable_user_namespaces`, as a template.

        A name that no namespace may have is replaced by a readable part of it and a hash.
        """,
    )

    user_namespace_labels = Dict(
        config=True,
        help="""
        Labels of the namespaces that `enable_user_namespaces` creates; values are templates.
        """,
    )

    user_namespace_annotations = Dict(
        config=True,
        help="""
        Annotations of the namespaces that `enable_user_namespaces` creates; values are templates.
        """,
    )

    user_namespace_allow_existing = Bool(
        False,
        config=True,
        help="""
        Whether the spawner uses a namespace that already exists although nothing marks it as this hub's.

        False: a start in such a namespace fails, because it may belong to someone else. A namespace is this hub's if
        it has the label or annotation "hub.jupyter.org/username", which the hub sets when it creates one; if a server
        of the user has been in it; or if a pod or claim in it belongs to one of the hub's users. A hub that may not
        create namespaces uses those in which it has rights.
        """,
    )

    k8s_api_host = Unicode(
        "",
        config=True,
        help="""
        URL of the Kubernetes API server, e.g. "https://10.0.0.1:6443".

        Empty: as the service account of the hub's pod or the kubeconfig says.
        """,
    )

    k8s_api_ssl_ca_cert = Unicode(
        "",
        config=True,
        help="""
        Path of a file with the certificate authority that signed the API server's certificate.

        Empty: as the service account of the hub's pod or the kubeconfig says.
        """,
    )

    k8s_api_verify_ssl = Bool(
        None,
        allow_none=True,
        config=True,
        help="""
        Whether the API server's certificate is verified.

        None: as the service account of the hub's pod or the kubeconfig says, which is normally yes.
        """,
    )

    k8s_api_request_timeout = Integer(
        3,
        config=True,
        help="""
        Seconds that one request to the Kubernetes API may take before it is tried again.

        A create whose reply came too late is recognised as this server's own and kept.
        """,
    )

    k8s_api_request_retry_timeout = Integer(
        30,
        config=True,
        help="""
        Seconds for which a stop repeats its request while the API answers "busy" or not at all; after that
        it is delivered in the background. A start repeats its requests until its own deadline.
        """,
    )

    events_enabled = Bool(
        True,
        config=True,
        help="""
        Whether Kubernetes events of a starting pod are watched.

        They make failures precise (which image, which lack) and the progress page richer.
        """,
    )

    @default("namespace")
    def _default_namespace(self) -> str:
        return pod_namespace() or "default"
