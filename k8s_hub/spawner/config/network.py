"""The network address of a user's server."""

from typing import Any

from traitlets import Bool, HasTraits, Integer, Unicode, default, validate
from traitlets.utils.bunch import Bunch

from k8s_hub.spawner.address import alt_name

_USUAL_PORT = 8888


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
        _USUAL_PORT,
        config=True,
        help="""
        Port that the user's server listens on inside its pod; its name is "notebook-port". 0: 8888.

        The chart's network policies allow 8888 only.
        """,
    )

    pod_connect_ip = Unicode(
        "",
        config=True,
        help="""
        Host name or address by which the hub reaches the user's pod, as a template; each part between dots is
        expanded by itself. Empty: the pod's address, or its DNS name where it has a Service.
        """,
    )

    services_enabled = Bool(
        False,
        config=True,
        help="""
        Whether each pod gets a Service, and the hub reaches it by `dns_name_template` instead of its address.

        `JupyterHub.internal_ssl` brings the Service in any case.
        """,
    )

    secret_name_template = Unicode(
        "{pod_name}",
        config=True,
        help="""
        Name of the Secret with the certificates of the user's pod, as a template.

        It exists only with `JupyterHub.internal_ssl`.
        """,
    )

    secret_mount_path = Unicode(
        "/etc/jupyterhub/ssl/",
        config=True,
        help="""
        Directory in the user's container where its certificates are; with a slash at the end.

        They are there only with `JupyterHub.internal_ssl`.
        """,
    )

    @default("ssl_alt_names")
    def _default_ssl_alt_names(self: Any) -> list[str]:
        """Return the names that the hub may call the pod by, for its certificate."""
        self._settle_dns_name()
        name, namespace = self.service_name, self.namespace
        service = [self.dns_name, name, f"{name}.{namespace}", f"{name}.{namespace}.svc"]
        configured = self._resolver.connect_host()
        return [*(f"DNS:{each}" for each in service), *([alt_name(configured)] if configured else [])]

    @default("ssl_alt_names_include_local")
    def _default_ssl_alt_names_include_local(self) -> bool:
        return False

    @validate("port")
    def _zero_is_the_usual(self, proposal: Bunch) -> int:
        return proposal.value or _USUAL_PORT
