"""The stop of one server: removes its pod reliably, and touches nothing of others."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import Counter

from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.obstacles import previous_server
from k8s_hub.kube.core.errors import KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import PODS, Resource
from k8s_hub.kube.late_creates import LATE_COMMIT
from k8s_hub.kube.pending_deletes import Delete, DeleteMatching
from k8s_hub.naming.ownership import attempt_id_of
from k8s_hub.objects.keys import Key, is_terminating, key_of, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.spawner.cluster import Cluster

logger = logging.getLogger(__name__)

T = TypeVar("T")

STOP_TIMEOUTS = Counter(
    "k8s_hub_stop_timeouts_total",
    "Stops that returned before the pod was gone, which the API server finishes.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDeletion:
    """The deletion of one server's pod, with the objects that the pod owns."""

    cluster: Cluster
    #: The key of the pod, if it exists.
    key: Key
    #: True only for this server's objects; the stop deletes nothing else.
    is_own: Callable[[Raw], bool]
    grace_seconds: int
    #: Seconds to retry one request before leaving it to the background.
    retry_seconds: float
    #: Seconds to wait until the pod is gone.
    timeout: float
    #: The id of a start with a create that may still happen; None if there is none.
    uncertain_attempt: str | None
    #: The objects that the pod may own: not every cluster garbage-collects objects without an owner.
    owned_objects: Sequence[tuple[Resource, Key]] = ()

    async def run(self, seen: Iterable[Raw]) -> None:
        """Remove this server's pods in the view, and a pod with its key too new for the view; wait until they are gone.

        Leaves requests that it cannot deliver in time to the background. Does not wait for a pod that was already
        being deleted. That deletion made a start fail, and its user reads the reason only when this returns. The
        next start waits for that pod.
        """
        deadline = asyncio.get_running_loop().time() + self.timeout
        pods, deleted = list(seen), list[Raw]()
        try:
            if not self._is_among(pods):
                pods += await self._look_up(deadline)
            while pods:
                was_there = await self._delete(pods[0], deadline)
                pod = pods.pop(0)
                if not was_there and key_of(pod) == self.key:
                    # The view is old, and may not show the next pod of this name yet.
                    pods += await self._look_up(deadline)
                deleted.append(pod)
        except KubeError as error:
            self._leave_to_background([*deleted, *pods], str(error))
            return
        if self.uncertain_attempt is not None:
            self._search(self._is_of_attempt, "the reply to its creation was lost", is_of_one_attempt=True)
        for resource, key in self.owned_objects:
            await self._remove_owned(resource, key, deadline)
        for pod in deleted:
            if not is_terminating(pod):
                await self._until_gone(pod, deadline)

    def _is_among(self, pods: Collection[Raw]) -> bool:
        return any(key_of(pod) == self.key for pod in pods)

    async def _look_up(self, deadline: float) -> list[Raw]:
        try:
            found = await self._retried(lambda: self.cluster.api.get(PODS, self.key), deadline)
        except NotFound:
            return []
        return [found] if self.is_own(found) else []

    async def _delete(self, pod: Raw, deadline: float) -> bool:
        """Return False if the pod was gone."""
        return await self._retried(
            lambda: self.cluster.delete(PODS, pod, grace_seconds=self.grace_seconds), deadline
        )

    async def _remove_owned(self, resource: Resource, key: Key, deadline: float) -> None:
        """Remove an object that the pod owned; if that fails, leave it to its owner reference."""
        try:
            found = await self._retried(lambda: self.cluster.api.get(resource, key), deadline)
            if self.is_own(found):
                await self._retried(lambda: self.cluster.delete(resource, found), deadline)
        except KubeError as error:
            logger.debug("%s %s: left to its owner reference: %s", resource.kind, key, error)

    async def _until_gone(self, pod: Raw, deadline: float) -> None:
        key = key_of(pod)
        try:
            await self.cluster.pods.wait_gone(key, uid_of(pod), deadline=deadline)
        except TimeoutError:
            STOP_TIMEOUTS.inc()
            kept = self.cluster.pods.view.get(key) or pod
            logger.warning(
                "%s: the pod is not gone after %g s: %s",
                key,
                self.timeout,
                previous_server(kept, utcnow()).detail,
            )
        except KubeError as error:
            STOP_TIMEOUTS.inc()
            logger.warning("%s: the deletion was accepted; unknown whether the pod is gone: %s", key, error)

    def _leave_to_background(self, pods: Collection[Raw], why: str) -> None:
        for pod in pods:
            delete_later(self.cluster, pod, self.grace_seconds, why)
        if not self._is_among(pods):
            self._search(self.is_own, why)

    def _is_of_attempt(self, pod: Raw) -> bool:
        return attempt_id_of(pod) == self.uncertain_attempt

    def _search(self, matches: Callable[[Raw], bool], why: str, *, is_of_one_attempt: bool = False) -> None:
        self.cluster.pending_deletes.add(
            DeleteMatching(
                resource=PODS,
                key=self.key,
                matches=matches,
                grace_seconds=self.grace_seconds,
                expires=asyncio.get_running_loop().time() + LATE_COMMIT,
                is_of_one_attempt=is_of_one_attempt,
            ),
            why,
        )

    async def _retried(self, call: Callable[[], Awaitable[T]], deadline: float) -> T:
        policy = RetryPolicy(deadline=self.retry_seconds)
        return await retrying(policy, call, on=Unavailable, deadline=deadline)


def delete_later(cluster: Cluster, pod: Raw, grace_seconds: int, why: str) -> None:
    """Delete a pod in the background."""
    cluster.pending_deletes.add(
        Delete(resource=PODS, key=key_of(pod), uid=uid_of(pod), grace_seconds=grace_seconds), why
    )
