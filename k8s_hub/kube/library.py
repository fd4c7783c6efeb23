"""The client library's own API classes, for hooks and subclasses that call them; nothing else here does."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api

from k8s_hub.kube.configuration import ConnectionSettings, find_access


class LibraryClient(ApiClient):
    """An ``ApiClient`` of the configured cluster, which it looks for at its first request.

    Belongs to the event loop of that request; ``await close()`` ends its connections.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        # Not super(): that opens a session, for which the cluster must be known.
        self.configuration = Configuration()
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
        """Carry out one request; raises `ConfigurationError` where no cluster is configured."""

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
    """Return the API class of pods, claims, Secrets and the like."""
    return CoreV1Api(client)
