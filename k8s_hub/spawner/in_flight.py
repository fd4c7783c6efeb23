"""Creates that outlive the start that asked for them, so that no object is made and forgotten."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from k8s_hub.kube.errors import Unavailable
from k8s_hub.objects.raw import Raw


class Creates:
    """The create requests of one start.

    A start may be cancelled at any moment, and a request that was cut off may still be carried out by the
    API server. So a request always runs to its end here, and the stop that follows waits for its outcome.
    Owned by the spawner.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Raw]] = set()
        self.is_uncertain = False
        """True when a reply was lost: the object may exist, or come to exist, unknown to us."""

    async def run(self, create: Coroutine[Any, Any, Raw]) -> Raw:
        """Return the created object; a cancellation ends the waiting, not the request."""
        task = asyncio.create_task(create)
        self._running.add(task)
        task.add_done_callback(self._note_outcome)
        await asyncio.wait({task})
        return task.result()

    async def settle(self) -> None:
        """Wait until every request has an outcome."""
        while self._running:
            await asyncio.wait(self._running)

    def _note_outcome(self, task: asyncio.Task[Raw]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        # Told to come back later (429), refused for now, or beaten to a quota (409), the server has done nothing;
        # failing any other way it may have.
        if task.cancelled() or (isinstance(error, Unavailable) and error.code not in {401, 403, 409, 429}):
            self.is_uncertain = True
