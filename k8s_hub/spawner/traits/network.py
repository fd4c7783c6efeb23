"""How a user's server is reached."""

from traitlets import HasTraits, Integer, Unicode


class NetworkTraits(HasTraits):
    """Addresses and ports."""

    ip = Unicode(
        "0.0.0.0",
        config=True,
        help="""
        Address that the user's server listens on inside its pod. Empty: all addresses, IPv4 and IPv6.
        """,
    )

    port = Integer(
        8888,
        config=True,
        help="""
        Port that the user's server listens on inside its pod; its name is "notebook-port".

        The chart's network policies allow 8888 only.
        """,
    )

    pod_connect_ip = Unicode(
        "",
        config=True,
        help="""
        Host name by which the hub reaches the user's pod, as a template. Empty: the pod's address.
        """,
    )
