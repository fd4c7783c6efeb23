"""How a command finds and opens the cluster and the hub."""

import argparse
import os
import ssl
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from k8s_hub.culler.beside import cullers_here, environment_of_hub
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings, internal_ssl_context
from k8s_hub.hub.errors import HubError
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.connection import Connection
from k8s_hub.kube.core.errors import KubeError
from k8s_hub.signals import run_until_told
from k8s_hub.text import has_credentials, is_http_url, printable
from k8s_hub.volumes.inventory import SCOPES, Sources

KUBE_TIMEOUT = 10.0
"""Seconds for one request to the API server: longer than in the hub, where a user waits for a page."""

EPILOG = (
    "JUPYTERHUB_API_TOKEN must be a token of the hub. Without it, the command takes the token of a culler that "
    f"runs in the same pod, of the hub that --url or JUPYTERHUB_API_URL names. The token needs the scopes {', '.join(SCOPES)}."
)


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


def add_release(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """Add the option ``release``; ``otherwise`` says what happens without one."""
    parser.add_argument(
        "--release",
        metavar="NAME",
        default=os.environ.get("HELM_RELEASE_NAME"),
        help=f"Helm release of this hub (default: $HELM_RELEASE_NAME, which the chart sets); without one, {otherwise}",
    )


def add_deletion(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option ``delete``, without which the command shows only what it would delete."""
    act = parser.add_mutually_exclusive_group()
    act.add_argument(
        "--delete", action="store_true", help=f"delete {what}; without this option, nothing is deleted"
    )
    act.add_argument("--dry-run", action="store_true", help="only show what --delete would delete (default)")


def hub_of(parsed: argparse.Namespace) -> HubConnectionSettings:
    """Return the settings of the hub for `opened`; raise ValueError that names the wrong option or variable."""
    environment = environment_of_hub(parsed.url or "")
    return hub_settings(parsed.url, parsed.certificates, scopes=SCOPES, environment=environment)


async def open_cluster(parsed: argparse.Namespace) -> Connection:
    """Return an open connection to the API server, which the caller closes; raise KubeError without a cluster."""
    return await Connection.open(
        ConnectionSettings(kubeconfig=parsed.kubeconfig, request_timeout=KUBE_TIMEOUT)
    )


@asynccontextmanager
async def opened(
    parsed: argparse.Namespace, where: HubConnectionSettings, namespaces: Sequence[str | None]
) -> AsyncIterator[Sources]:
    """Open cluster and hub inside the context."""
    connection = await open_cluster(parsed)
    try:
        async with HubConnection(where) as to_hub:
            yield Sources(kube=KubeApi(connection), hub=HubApi(to_hub), namespaces=namespaces)
    finally:
        await connection.close()


def run(command: str, work: Coroutine[Any, Any, None]) -> int:
    """Run the work; return 1 with one sentence on stderr after an error of hub or cluster."""
    try:
        return run_until_told(work)
    except (HubError, KubeError) as error:
        print(printable(f"{command}: {error}"), file=sys.stderr)
        return 1


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
            f"JUPYTERHUB_API_TOKEN is not set, and {cullers_here()}; the token needs the scopes "
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
