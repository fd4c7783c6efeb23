"""Where a command finds the hub's REST API, and with which token."""

import os
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from k8s_hub.hub import connection as hub


def hub_settings(
    url: str | None,
    certificates: Path | None,
    *,
    scopes: Sequence[str],
    environment: Mapping[str, str] = os.environ,
) -> hub.ConnectionSettings:
    """Return the connection, from options and environment; raise ValueError that says what is wrong with them.

    certificates: the hub's ``internal_certs_location``; None where it runs without internal_ssl.
    """
    url = url or environment.get("JUPYTERHUB_API_URL", "")
    address = urlsplit(url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ValueError(
            f"--url or JUPYTERHUB_API_URL must be one such as http://localhost:8081/hub/api, not {url!r}"
        )
    token = environment.get("JUPYTERHUB_API_TOKEN", "").strip()
    if not token:
        raise ValueError(f"JUPYTERHUB_API_TOKEN is not set; the token needs the scopes {', '.join(scopes)}")
    if not (token.isascii() and token.isprintable()):
        raise ValueError("JUPYTERHUB_API_TOKEN holds a character that cannot be part of a token")
    return hub.ConnectionSettings(url=url, token=token, ssl_context=_ssl_context(certificates))


def _ssl_context(certificates: Path | None) -> ssl.SSLContext | None:
    if certificates is None:
        return None
    try:
        return hub.internal_ssl_context(certificates)
    except OSError as error:
        raise ValueError(f"--internal-certs-location {certificates} cannot be used: {error}") from error
