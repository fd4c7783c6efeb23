"""Deletes that could not be delivered because the API server was away: kept and retried until they are.

JupyterHub forgets a server whatever its stop does, so somebody else has to remember the pod. Each delete names
a uid, so delivering it twice, or after somebody else did, is harmless. They are kept in memory only: after a
restart of the hub, the pods that are left over are found by their labels.
"""

import asyncio
import logging
import math
from contextlib import suppress
from dataclasses import dataclass

from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.errors import Conflict, KubeError, NotFound, Unavailable
from k8s_hub.kube.metrics import UNDELIVERED
from k8s_hub.kube.resources import Resource
from k8s_hub.kube.retries import RetryPolicy
from k8s_hub.objects.keys import Key

logger = logging.getLogger(__name__)

DELIVER = RetryPolicy(name="deliver a delete", initial=1.0, ceiling=30.0, deadline=math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """One object to be deleted: this uid and no later one of its name."""

    resource: Resource
    key: Key
    uid: str
    grace_seconds: int | None = None  # None means the object's own

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.key}"


class UndeliveredDeletes:
    """Owns one task that delivers them one after the other; ``await close()``."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._waiting: dict[Delete, None] = {}  # in the order they came
        self._task: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """How many are waiting."""
        return len(self._waiting)

    def add(self, delete: Delete) -> None:
        """Take over ``delete``; one that is known already stays one."""
        if delete in self._waiting:
            return
        logger.warning("%s: its deletion could not be delivered, and is tried again until it is", delete)
        self._waiting[delete] = None
        UNDELIVERED.inc()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._deliver_all(), name="undelivered deletes")

    async def close(self) -> None:
        """Stop trying; what is left is named in the log."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for delete in self._waiting:
            logger.warning("%s: given up, its deletion was never delivered", delete)
        UNDELIVERED.dec(len(self._waiting))
        self._waiting.clear()

    async def _deliver_all(self) -> None:
        failures = 0
        while self._waiting:
            await asyncio.sleep(DELIVER.delay(failures))
            failures = 0 if await self._deliver_some() else failures + 1

    async def _deliver_some(self) -> bool:
        """Try each once, up to the first that shows the server is still away; true if any was delivered."""
        before = len(self._waiting)
        for delete in tuple(self._waiting):
            try:
                await self._deliver(delete)
            except Unavailable as error:
                logger.debug("%s: still not delivered: %s", delete, error)
                break
            except KubeError as error:
                # Refused, by a Role or a webhook: kept, as it may be allowed later, but it stops no other.
                logger.debug("%s: its deletion is refused: %s", delete, error)
        return len(self._waiting) < before

    async def _deliver(self, delete: Delete) -> None:
        # NotFound: gone already. Conflict: another object has the name.
        with suppress(NotFound, Conflict):
            await self._api.delete(
                delete.resource, delete.key, uid=delete.uid, grace_seconds=delete.grace_seconds
            )
        del self._waiting[delete]
        UNDELIVERED.dec()
        logger.info("%s: its deletion is delivered", delete)
