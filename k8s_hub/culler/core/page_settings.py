"""Settings of the page, from the environment that the hub gives its services: address and login."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

from k8s_hub.culler.core.mistakes import BadOption


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """The page's own address, and the hub's."""

    ip: str  # to listen on; empty: all interfaces
    port: int
    prefix: str  # the path of the page behind the proxy, such as /services/idle-culler/
    client_id: str  # for OAuth
    access_scopes: frozenset[str]  # one of them lets a user in
    api_url: str
    token: str = field(repr=False)
    hub_prefix: str = "/hub/"
    hub_host: str = ""  # if the hub has its own domain or a public URL
    login_callback: str = ""  # the redirect after a login; empty: below the prefix
    keyfile: str = ""  # of internal_ssl
    certfile: str = ""
    client_ca: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str], *, api_url: str, token: str) -> Self:
        """Read the environment; raise BadOption."""
        name = environ.get("JUPYTERHUB_SERVICE_NAME", "")
        if not name:
            raise BadOption(
                "JUPYTERHUB_SERVICE_NAME is not set: set it to the name of the service in c.JupyterHub.services"
            )
        ip, port = _address(environ.get("JUPYTERHUB_SERVICE_URL", ""))
        base = _path(environ.get("JUPYTERHUB_BASE_URL") or "/")
        return cls(
            ip=ip,
            port=port,
            prefix=_path(environ.get("JUPYTERHUB_SERVICE_PREFIX") or f"{base}services/{name}/"),
            client_id=environ.get("JUPYTERHUB_CLIENT_ID") or f"service-{name}",
            access_scopes=_scopes(environ.get("JUPYTERHUB_OAUTH_ACCESS_SCOPES", ""), name),
            api_url=api_url,
            token=token,
            hub_prefix=f"{base}hub/",
            hub_host=environ.get("JUPYTERHUB_HOST", ""),
            login_callback=environ.get("JUPYTERHUB_OAUTH_CALLBACK_URL", ""),
            keyfile=environ.get("JUPYTERHUB_SSL_KEYFILE", ""),
            certfile=environ.get("JUPYTERHUB_SSL_CERTFILE", ""),
            client_ca=environ.get("JUPYTERHUB_SSL_CLIENT_CA", ""),
        )


def _address(url: str) -> tuple[str, int]:
    """Return IP and port to listen on. For a host name, that is all interfaces: the proxy resolves the name."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # a single bracket, a port above 65535
        host, port = None, None
    if not host or not port:
        shown = url.rpartition("@")[2]  # without a user and password
        raise BadOption(
            f"JUPYTERHUB_SERVICE_URL must be a URL with a port such as http://127.0.0.1:10101, not {shown!r}"
        )
    if host == "localhost":
        return "127.0.0.1", port
    try:
        ip_address(host)
    except ValueError:
        return "", port
    return host, port


def _path(prefix: str) -> str:
    stripped = prefix.strip("/")
    return f"/{stripped}/" if stripped else "/"


def _scopes(raw: str, name: str) -> frozenset[str]:
    if not raw:
        return frozenset({f"access:services!service={name}"})
    try:
        scopes = json.loads(raw)
    except ValueError:
        scopes = None
    if not isinstance(scopes, list) or not scopes or not all(isinstance(scope, str) for scope in scopes):
        raise BadOption(f"JUPYTERHUB_OAUTH_ACCESS_SCOPES must be a list of scopes, not {raw!r}")
    return frozenset(scopes)


def has_page(environ: Mapping[str, str]) -> bool:
    """Return whether this service has an address; some hubs give a service without one port 0."""
    url = environ.get("JUPYTERHUB_SERVICE_URL", "")
    try:
        return bool(url) and urlsplit(url).port != 0
    except ValueError:
        return True  # PageSettings reports the error
