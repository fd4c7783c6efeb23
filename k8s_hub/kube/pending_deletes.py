"""Deletes in the background, retried until the API server accepts them.

JupyterHub forgets a server even if its stop fails, so this module remembers the pod while the API server is away. A repeated
delete is harmless. Pending deletes are only in memory: after a restart of the hub, the spawner finds leftover pods by their
annotations.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.core.errors import Conflict, KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import Resource
from k8s_hub.kube.metrics import PENDING_DELETES
from k8s_hub.objects.keys import Key, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy

logger = logging.getLogger(__name__)

DELIVER = RetryPolicy(initial=1.0, ceiling=10.0, deadline=math.inf)
"""While the server is away, this is one request per 5 s on average, for any number of deletes. The ceiling limits how long an
object of a late create lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """A delete of one object by uid, never of a later one of the same name."""

    resource: Resource
    key: Key
    uid: str
    grace_seconds: int | None = None  # None means the object's own grace period

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteMatching:
    """A delete of an object that may exist, or appear later, recognised by its attempt id or owner instead of a uid."""

    resource: Resource
    key: Key
    matches: Callable[[Raw], bool]
    grace_seconds: int | None = None
    expires: float  # loop time until which the object may still appear
    is_of_one_attempt: bool = False  # True: a later object of the name never matches

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.key}, if it exists"

    @property
    def is_over(self) -> bool:
        """True once the object can no longer appear."""
        return asyncio.get_running_loop().time() >= self.expires


PendingDelete: TypeAlias = Delete | DeleteMatching


class PendingDeletes:
    """Owns the task that sends the deletes one by one: ``await close()``."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._waiting: dict[PendingDelete, None] = {}  # an ordered set
        self._is_crash_logged = False
        self._task: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """The number of pending deletes."""
        return len(self._waiting)

    def add(self, delete: PendingDelete, why: str) -> None:
        """Add ``delete`` unless it is already pending. ``why`` is for the log."""
        if delete in self._waiting:
            return
        logger.info("%s: retrying its deletion in the background: %s", delete, why)
        self._waiting[delete] = None
        PENDING_DELETES.inc()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._deliver_all(), name="pending deletes")

    def withdraw_matching(self, key: Key) -> None:
        """Drop deletes that would match any object of this name: its owner is about to create a new one."""
        for delete in tuple(self._waiting):
            if isinstance(delete, DeleteMatching) and delete.key == key and not delete.is_of_one_attempt:
                self._drop(delete)

    async def close(self) -> None:
        """Stop, and log the deletes that are left."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._give_up()

    def _give_up(self) -> None:
        for delete in tuple(self._waiting):
            logger.warning("%s: gave up its deletion: the API server never accepted it", delete)
            self._drop(delete)

    async def _deliver_all(self) -> None:
        failures = 0
        try:
            while self._waiting:
                failures = 0 if await self._deliver_some() else failures + 1
                if self._waiting:
                    await asyncio.sleep(DELIVER.delay(failures))
        finally:
            self._give_up()  # a hub that ends cancels all tasks, and closes nothing

    async def _deliver_some(self) -> bool:
        """Try each delete once until one finds the server away; return True if any was accepted.

        That one goes to the end of the next round, because it may be the only one with such an error.
        """
        before = len(self._waiting)
        for delete in tuple(self._waiting):
            try:
                if await self._is_delivered(delete):
                    self._drop(delete)
            except Unavailable as error:
                logger.debug("%s: its deletion is still pending: %s", delete, error)
                self._to_the_end(delete)
                break
            except KubeError as error:
                # Refused, by a Role or a webhook: kept, as it may be allowed later, but it stops no other.
                logger.debug("%s: the API server refused its deletion: %s", delete, error)
            except Exception as error:
                level = logging.DEBUG if self._is_crash_logged else logging.ERROR
                logger.log(
                    level, "%s: its deletion failed because of a bug, retrying", delete, exc_info=error
                )
                self._is_crash_logged = True
        return len(self._waiting) < before

    async def _is_delivered(self, delete: PendingDelete) -> bool:
        if isinstance(delete, Delete):
            await self._delete(delete, delete.uid)
            return True
        try:
            found = await self._api.get(delete.resource, delete.key)
        except NotFound:
            return delete.is_over
        except KubeError as error:
            # Who may not look for so long could not have created it either. A 401 says nothing about rights.
            if delete.is_over and error.code == 403:
                return True
            raise
        # Withdrawn while it was asked: what was found may be the owner's new object.
        if delete in self._waiting and delete.matches(found):
            await self._delete(delete, uid_of(found))
        return True

    async def _delete(self, delete: PendingDelete, uid: str) -> None:
        # NotFound: gone already. Conflict: another object has the name.
        with suppress(NotFound, Conflict):
            await self._api.delete(delete.resource, delete.key, uid=uid, grace_seconds=delete.grace_seconds)
        logger.info("%s: the API server accepted its deletion", delete)

    def _to_the_end(self, delete: PendingDelete) -> None:
        if delete in self._waiting:
            del self._waiting[delete]
            self._waiting[delete] = None

    def _drop(self, delete: PendingDelete) -> None:
        if delete in self._waiting:
            del self._waiting[delete]
            PENDING_DELETES.dec()
