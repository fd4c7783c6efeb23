"""Finds the cluster and its credentials like other Kubernetes clients, and refreshes the credentials.

A kubeconfig in the settings goes first; then a pod's service account, if it has one; then the kubeconfig of ``KUBECONFIG``
or ``~/.kube/config``. Without a cluster, the error is one sentence that names the places that were tried. A replaced token
(rotated by the kubelet, renewed by an exec plugin) is used at once.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import yaml
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException, load_kube_config
from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader

from k8s_hub.kube.core.errors import ConfigurationError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LOADING = 60.0  # seconds that a kubeconfig's exec plugin or OpenID provider may take; the plugin itself is not ended
BEARER = "BearerToken"  # the client library's key for the Authorization header


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """The administrator's settings of the connection. Whatever is empty is discovered."""

    host: str = ""  # URL of the API server; "" means discover it
    ssl_ca_cert: str = ""  # path of a PEM file; "" means discover it
    verify_ssl: bool | None = None  # None means True, unless a kubeconfig says otherwise
    request_timeout: float = 3.0  # seconds for one attempt, reply included; see `Connection.request`
    kubeconfig: str | None = None  # path; None means in-cluster first, then KUBECONFIG, then ~/.kube/config


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The client library's configuration, and a function that renews its credentials."""

    configuration: Configuration
    renew: Callable[[], Awaitable[None]]


@cache
def pod_namespace(service_account: Path = SERVICE_ACCOUNT) -> str | None:
    """Return the namespace of the pod that this process runs in; None outside a cluster."""
    try:
        return (service_account / "namespace").read_text(encoding="ascii").strip() or None
    except OSError:
        return None


async def find_access(settings: ConnectionSettings, *, service_account: Path = SERVICE_ACCOUNT) -> Access:
    """Return the access to the configured cluster; raise `ConfigurationError` if there is none."""
    access = await _find(settings, service_account)
    configuration = access.configuration
    configuration.host = (settings.host or configuration.host or "").rstrip("/")
    if settings.ssl_ca_cert:
        configuration.ssl_ca_cert = settings.ssl_ca_cert
    if settings.verify_ssl is not None:
        configuration.verify_ssl = settings.verify_ssl
    if urlsplit(configuration.host).scheme not in {"http", "https"}:
        raise ConfigurationError(
            f"k8s_api_host is {configuration.host!r}, not a URL such as https://10.0.0.1:443"
        )
    return access


async def _find(settings: ConnectionSettings, service_account: Path) -> Access:
    if settings.kubeconfig:
        return await _from_kubeconfig(settings.kubeconfig)
    paths = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        try:
            return _from_service_account(service_account)
        except ConfigurationError:  # a pod without a token, as with automountServiceAccountToken: false
            if not _any_exists(paths):
                raise
    if _any_exists(paths):
        return await _from_kubeconfig(paths)
    if settings.host:  # `kubectl proxy` and the like: an address without credentials
        return Access(configuration=Configuration(), renew=_nothing_to_renew)
    origin = "from KUBECONFIG" if os.environ.get("KUBECONFIG") else "KUBECONFIG is not set"
    raise ConfigurationError(
        "no Kubernetes cluster is configured: this is not a pod (KUBERNETES_SERVICE_HOST is not set), there is no "
        f"kubeconfig at {paths} ({origin}), and k8s_api_host is empty"
    )


def _from_service_account(directory: Path) -> Access:
    configuration = Configuration()
    token = _TokenFile(directory / "token")
    loader = InClusterConfigLoader(
        token_filename=str(token.path), cert_filename=str(directory / "ca.crt"), try_refresh_token=False
    )
    with _as_configuration_error(f"the service account in {directory}"):
        loader.load_and_set(configuration)
        token.refresh(configuration)
    configuration.refresh_api_key_hook = token.refresh

    async def renew() -> None:
        token.forget()
        token.refresh(configuration)

    return Access(configuration=configuration, renew=renew)


async def _from_kubeconfig(paths: str) -> Access:
    """Read one kubeconfig, or several joined by ":" as in ``KUBECONFIG``.

    ``renew`` reads everything again: token files, exec plugins and OpenID providers return current credentials. Both raise
    `ConfigurationError`, also if that takes longer than `LOADING`.
    """
    if not _any_exists(paths):
        raise ConfigurationError(f"there is no kubeconfig at {paths}")

    async def load() -> Configuration:
        configuration = Configuration()
        with _as_configuration_error(f"the kubeconfig {paths}"):
            try:
                async with asyncio.timeout(LOADING):
                    await load_kube_config(config_file=paths, client_configuration=configuration)
            except TimeoutError as error:
                raise ConfigException(f"its credentials took longer than {LOADING:g} s") from error
        return configuration

    current = await load()
    ca = current.ssl_ca_cert  # the settings may replace it

    async def renew() -> None:
        nonlocal ca
        found = await load()
        current.api_key = found.api_key
        current.cert_file, current.key_file = found.cert_file, found.key_file
        if current.ssl_ca_cert == ca:
            current.ssl_ca_cert = ca = found.ssl_ca_cert

    return Access(configuration=current, renew=renew)


def _any_exists(paths: str) -> bool:
    return any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path)


class _TokenFile:
    """A token file that the kubelet replaces. One stat per request detects a change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[int, int] | None = None  # inode and mtime at the last read

    def forget(self) -> None:
        self._read = None

    def refresh(self, configuration: Configuration) -> None:
        """Put the current token into ``configuration``. The client library calls this before each request."""
        try:
            found = self.path.stat()  # follows the symbolic link that the kubelet swaps
            if (found.st_ino, found.st_mtime_ns) != self._read:
                configuration.api_key[BEARER] = "Bearer " + self.path.read_text(encoding="ascii").strip()
                self._read = (found.st_ino, found.st_mtime_ns)
        except OSError as error:
            if BEARER not in configuration.api_key:
                raise ConfigurationError(f"the token {self.path} cannot be read: {error}") from error
            # A file missing for a moment while it is swapped: the old token is good for minutes more.


@contextmanager
def _as_configuration_error(what: str) -> Iterator[None]:
    """Raise one-sentence `ConfigurationError`s for whatever the client library raises."""
    try:
        yield
    except (
        ConfigException,
        aiohttp.ClientError,  # an OpenID provider that is away
        OSError,
        ValueError,
        # The library asserts, indexes and calls its way through a kubeconfig that has another shape.
        AssertionError,
        AttributeError,
        KeyError,
        TypeError,
        yaml.YAMLError,
    ) as error:
        raise ConfigurationError(f"{what} cannot be used: {error or type(error).__name__}") from error


async def _nothing_to_renew() -> None:
    return None
