"""The client library's API classes, for hooks and subclasses. Our own code does not use them."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api
from kubernetes_asyncio.client.exceptions import ApiException

from k8s_hub.kube.configuration import SERVICE_ACCOUNT, ConnectionSettings, find_access
from k8s_hub.kube.connection import stall_tolerant_timeout
from k8s_hub.kube.core.errors import ConfigurationError

logger = logging.getLogger(__name__)


class LibraryClient(ApiClient):
    """An ``ApiClient`` that finds the configured cluster at its first request.

    It belongs to the event loop of that request. ``await close()`` closes its connections.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        # Not super(): that opens a session, for which the cluster must be known.
        self.configuration = Configuration.get_default_copy()
        self.client_side_validation = self.configuration.client_side_validation
        self.rest_client: Any = None
        self._settings = settings
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close every connection; the next request opens new ones."""
        if self.rest_client is not None:
            await super().close()
        self.rest_client = None

    def call_api(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Send one request; raise `ConfigurationError` if no cluster is configured."""

        async def call() -> Any:
            await self._open()
            return await super(LibraryClient, self).call_api(*args, **kwargs)

        return call()

    async def _open(self) -> None:
        async with self._opening:
            if self.rest_client is None:
                access = await find_access(self._settings)
                super().__init__(access.configuration)


def core_v1(client: LibraryClient) -> Any:
    """Return the API class for pods, claims, Secrets and so on."""
    return CoreV1Api(client)


# --- The library's default, for code that makes clients of its own ---


CREDENTIALS_TIMEOUT = 10.0
"""Seconds that the hub waits for credentials of an exec plugin or provider. If they arrive later, they are still used."""


def set_default(settings: ConnectionSettings, *, service_account: Path = SERVICE_ACCOUNT) -> None:
    """Make the configured cluster the library's default in this process, as KubeSpawner does.

    ``CoreV1Api(ApiClient())`` then uses it, with a token that is refreshed when the kubelet replaces it. Without a cluster
    nothing changes: the first start reports the error.
    """
    environment = (os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBECONFIG"))
    with suppress(ConfigurationError):
        _set_default(settings, service_account, environment)


@lru_cache(maxsize=16)
def _set_default(
    settings: ConnectionSettings, service_account: Path, _environment: tuple[str | None, ...]
) -> None:
    """Do it once per configuration and environment. The caller waits, because hooks may run next.

    A failure is not cached.
    """
    found = Future[None]()

    def find() -> None:
        try:
            access = asyncio.run(find_access(settings, service_account=service_account))
            Configuration.set_default(access.configuration)
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            found.set_exception(error)
        else:
            found.set_result(None)

    # The caller's thread has a loop that runs.
    Thread(target=find, name="find the cluster", daemon=True).start()
    try:
        found.result(CREDENTIALS_TIMEOUT)
    except TimeoutError:
        logger.warning("client library: no default cluster: no credentials within %g s", CREDENTIALS_TIMEOUT)


# --- One object, as KubeSpawner's methods of these names ask for it: to be called again after False ---


async def create_once(api: Any, kind: str, namespace: str, manifest: Any, *, seconds: float) -> bool:
    """Create an object once; return True if it exists now, False if a retry may help.

    ``kind`` is the library's name, such as "config_map". Raises ApiException if the API server refuses.
    """
    create = getattr(api, f"create_namespaced_{kind}")
    try:
        return await _answered(create(namespace, manifest), seconds)
    except ApiException as error:
        # A full quota refuses also what is there.
        if error.status == 403 and await exists(api, kind, namespace, _name(manifest), seconds=seconds):
            return True
        if error.status == 409:
            return "AlreadyExists" in str(error.body)
        raise


async def delete_once(api: Any, kind: str, namespace: str, name: str, *, seconds: float) -> bool:
    """Delete an object once; return True if it is gone, False if a retry may help."""
    delete = getattr(api, f"delete_namespaced_{kind}")
    try:
        await _answered(delete(name, namespace), seconds)
    except ApiException as error:
        if error.status != 404:
            raise
    return await exists(api, kind, namespace, name, seconds=seconds) is False


async def exists(api: Any, kind: str, namespace: str, name: str, *, seconds: float) -> bool | None:
    """Return whether an object exists; None if the API server did not answer."""
    read = getattr(api, f"read_namespaced_{kind}")
    try:
        return await _answered(read(name, namespace), seconds) or None
    except ApiException as error:
        if error.status == 404:
            return False
        raise


async def _answered(request: Awaitable[Any], seconds: float) -> bool:
    """Await one request; return False if the API server is away or busy."""
    try:
        async with stall_tolerant_timeout(seconds):
            await request
    except (TimeoutError, aiohttp.ClientError, OSError):
        return False
    except ApiException as error:
        if error.status == 429 or (error.status or 0) >= 500:
            return False
        raise
    return True


def _name(manifest: Any) -> str:
    metadata = manifest["metadata"] if isinstance(manifest, dict) else manifest.metadata
    return str(metadata["name"] if isinstance(metadata, dict) else metadata.name)
