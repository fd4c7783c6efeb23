"""Deletes that nobody waits for: kept and tried again until the API server has taken them.

JupyterHub forgets a server whatever its stop does, so somebody else has to remember the pod while the API
server is away. Delivering a delete twice, or after somebody else did, is harmless. They are kept in memory
only: after a restart of the hub, the pods that are left over are found by their owner annotations.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.core.errors import Conflict, Forbidden, KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import Resource
from k8s_hub.kube.metrics import PENDING_DELETES
from k8s_hub.objects.keys import Key, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy

logger = logging.getLogger(__name__)

DELIVER = RetryPolicy(initial=1.0, ceiling=10.0, deadline=math.inf)
"""While the server is away this is one request each 5 s on average, however many wait. The ceiling keeps what a late
create brings forth from living for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """One object to be deleted: this uid and no later one of its name."""

    resource: Resource
    key: Key
    uid: str
    grace_seconds: int | None = None  # None means the object's own

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteMatching:
    """An object to be deleted that may exist, or may still come to exist: known by its attempt id or its owner, not by a uid."""

    resource: Resource
    key: Key
    matches: Callable[[Raw], bool]
    grace_seconds: int | None = None
    expires: float  # the loop's time until which a missing object may still appear
    is_of_one_attempt: bool = False  # a later object of the name never matches

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.key}, if it exists"

    @property
    def is_over(self) -> bool:
        """True once a missing object will not appear any more."""
        return asyncio.get_running_loop().time() >= self.expires


PendingDelete: TypeAlias = Delete | DeleteMatching


class PendingDeletes:
    """Owns one task that delivers them one after the other; ``await close()``."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._waiting: dict[PendingDelete, None] = {}  # in the order in which they are tried
        self._is_crash_logged = False
        self._task: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """How many are waiting."""
        return len(self._waiting)

    def add(self, delete: PendingDelete, why: str) -> None:
        """Take over ``delete``; one that is known already stays one. ``why`` is for the log."""
        if delete in self._waiting:
            return
        logger.info("%s: it is deleted in the background, until the API server has taken it: %s", delete, why)
        self._waiting[delete] = None
        PENDING_DELETES.inc()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._deliver_all(), name="pending deletes")

    def withdraw_matching(self, key: Key) -> None:
        """Look no longer for any object of this name: its owner is about to create a new one."""
        for delete in tuple(self._waiting):
            if isinstance(delete, DeleteMatching) and delete.key == key and not delete.is_of_one_attempt:
                self._drop(delete)

    async def close(self) -> None:
        """Stop trying; what is left is named in the log."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for delete in tuple(self._waiting):
            logger.warning("%s: given up, its deletion was never delivered", delete)
            self._drop(delete)

    async def _deliver_all(self) -> None:
        failures = 0
        while self._waiting:
            failures = 0 if await self._deliver_some() else failures + 1
            if self._waiting:
                await asyncio.sleep(DELIVER.delay(failures))

    async def _deliver_some(self) -> bool:
        """Try each once, up to the first that shows the server is still away; true if any was delivered.

        That one is the last of the next round, because it may be the only one that gets such an answer.
        """
        before = len(self._waiting)
        for delete in tuple(self._waiting):
            try:
                if await self._is_delivered(delete):
                    self._drop(delete)
            except Unavailable as error:
                logger.debug("%s: still not delivered: %s", delete, error)
                self._to_the_end(delete)
                break
            except KubeError as error:
                # Refused, by a Role or a webhook: kept, as it may be allowed later, but it stops no other.
                logger.debug("%s: its deletion is refused: %s", delete, error)
            except Exception as error:
                level = logging.DEBUG if self._is_crash_logged else logging.ERROR
                logger.log(level, "%s: its deletion failed by a bug, retrying", delete, exc_info=error)
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
            # Who may not look for so long could not have created it either.
            if delete.is_over and isinstance(error, Forbidden):
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
        logger.info("%s: its deletion is delivered", delete)

    def _to_the_end(self, delete: PendingDelete) -> None:
        if delete in self._waiting:
            del self._waiting[delete]
            self._waiting[delete] = None

    def _drop(self, delete: PendingDelete) -> None:
        if delete in self._waiting:
            del self._waiting[delete]
            PENDING_DELETES.dec()
