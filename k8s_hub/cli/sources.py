"""Options and environment variables by which a command finds the cluster and the hub."""

import argparse
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from k8s_hub.hub.connection import HubConnectionSettings, internal_ssl_context
from k8s_hub.text import has_credentials, is_http_url


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options ``url``, ``certificates`` and ``kubeconfig``."""
    parser.add_argument("--url", help="URL of the hub's REST API (default: $JUPYTERHUB_API_URL)")
    parser.add_argument(
        "--internal-certs-location",
        dest="certificates",
        type=Path,
        metavar="DIRECTORY",
        help="JupyterHub.internal_certs_location, for a hub with internal_ssl",
    )
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="kubeconfig file (default: the pod's service account, $KUBECONFIG, ~/.kube/config)",
    )


def hub_settings(
    url: str | None,
    certificates: Path | None,
    *,
    scopes: Sequence[str],
    environment: Mapping[str, str],
) -> HubConnectionSettings:
    """Return the hub's settings from options and environment; raise ValueError that names the wrong one.

    certificates: the hub's ``internal_certs_location``; None without internal_ssl.
    """
    url = url or environment.get("JUPYTERHUB_API_URL", "")
    if not url:
        raise ValueError(
            "the hub's URL is not set, and no culler runs here: set --url or JUPYTERHUB_API_URL, such as "
            "http://localhost:8081/hub/api"
        )
    rule = "--url or JUPYTERHUB_API_URL must be a URL such as http://localhost:8081/hub/api"
    if has_credentials(url):
        raise ValueError(f"{rule}, without user and password")
    if not is_http_url(url):
        raise ValueError(f"{rule}, not {url!r}")
    token = environment.get("JUPYTERHUB_API_TOKEN", "").strip()
    if not token:
        raise ValueError(
            "JUPYTERHUB_API_TOKEN is not set, and no culler runs here; the token needs the scopes "
            + ", ".join(scopes)
        )
    if not (token.isascii() and token.isprintable()):
        raise ValueError("JUPYTERHUB_API_TOKEN contains a character that a token cannot have")
    return HubConnectionSettings(url=url, token=token, ssl_context=_ssl_context(certificates))


def _ssl_context(certificates: Path | None) -> ssl.SSLContext | None:
    if certificates is None:
        return None
    try:
        return internal_ssl_context(certificates)
    except OSError as error:
        raise ValueError(f"--internal-certs-location {certificates} cannot be used: {error}") from error
