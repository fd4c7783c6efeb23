"""The node that can mount a server's claims, where the user's other servers mount some of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import assert_never
from weakref import WeakValueDictionary

from k8s_hub.claims.placement import (
    Anywhere,
    DifferentNodes,
    Exclusive,
    NotKnownYet,
    Placement,
    SameNode,
    mounted_claims,
    plan_placement,
)
from k8s_hub.diagnosis import obstacles
from k8s_hub.diagnosis.diagnosis import Diagnosis
from k8s_hub.manifests.pod import bound_to_node
from k8s_hub.naming.ownership import SAME_NODE_ANNOTATION
from k8s_hub.objects.keys import Key, annotations_of, key_of, metadata_of
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.attempt import Attempt, watch_until
from k8s_hub.spawner.cluster import mount_index_key
from k8s_hub.spawner.failures import SpawnFailed
from k8s_hub.spawner.spec import ServerSpec
from k8s_hub.spawner.start import delete_older_pods, until_seen


class PlacementLock:
    """Places a user's servers that share claims one at a time: each must see where the last one went."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        #: The pod created last; the view may not show its node yet.
        self.created: Raw | None = None


_placement_locks: WeakValueDictionary[tuple[str, str, str], PlacementLock] = WeakValueDictionary()
"""By API server, namespace and user; an entry lives while any of the user's servers starts."""


@asynccontextmanager
async def placement_lock(
    spec: ServerSpec, attempt: Attempt, pod: Raw, claims: Sequence[Raw]
) -> AsyncIterator[PlacementLock]:
    """Place no other server of the user meanwhile; code that creates a pod in the body notes it in the lock."""
    placement = PlacementLock()
    if not (spec.is_placed_beside_others and spec.shares_claims):
        yield placement
        return
    whose = (attempt.cluster.api.host, attempt.identity.namespace, attempt.identity.username)
    placement = _placement_locks.setdefault(whose, placement)
    # Before the lock: a pod on a dead node may take minutes to go, and the user's other servers must not wait.
    await delete_older_pods(attempt, spec.pod_name)
    # Before the lock too: a user reads about this wait for another server's node, but not about one for the lock.
    await _until_known(attempt, _mounted(pod, claims))
    async with placement.lock:
        if placement.created is not None:
            await until_seen(attempt, placement.created)
        yield placement


async def placed(spec: ServerSpec, attempt: Attempt, pod: Raw, claims: Sequence[Raw]) -> Raw:
    """Return the pod, bound to the node where another of the user's servers holds one of these claims, if any.

    Fails if no node can work. Considers only the pods of the hub's own component.
    """
    if not spec.is_placed_beside_others:
        return pod
    placement = await _until_known(attempt, _mounted(pod, claims))
    match placement:
        case Anywhere():
            return pod
        case SameNode(node=node, claim=claim, servername=servername):
            wanted = pod["spec"].get("nodeName")
            if wanted not in {None, node}:
                raise SpawnFailed(obstacles.on_another_node(servername, claim, node=node, wanted=wanted))
            attempt.emit(obstacles.placed_on_same_node(servername, claim, node))
            return _beside(pod, placement)
        case Exclusive(claim=claim, servername=servername):
            raise SpawnFailed(obstacles.in_exclusive_use(servername, claim))
        case DifferentNodes(servernames=servernames, nodes=nodes):
            raise SpawnFailed(obstacles.volumes_on_different_nodes(servernames, nodes))
        case _:
            assert_never(placement)


def _mounted(pod: Raw, claims: Sequence[Raw]) -> list[Raw]:
    names = mounted_claims(pod)
    return [claim for claim in claims if key_of(claim).name in names]


async def _until_known(
    attempt: Attempt, claims: Sequence[Raw]
) -> Anywhere | SameNode | Exclusive | DifferentNodes:
    """Return where the pod may run, once the other server's pod has a node; only the start's deadline ends this."""
    first = _plan(attempt, claims)
    if not isinstance(first, NotKnownYet):
        return first

    def look() -> Anywhere | SameNode | Exclusive | DifferentNodes | Diagnosis:
        plan = _plan(attempt, claims)
        if not isinstance(plan, NotKnownYet):
            return plan
        return obstacles.waits_for_other_server(plan.servername, plan.claim)

    return await watch_until(attempt, look, pod=first.pod)


def _plan(attempt: Attempt, claims: Sequence[Raw]) -> Placement:
    pods, identity = attempt.cluster.pods.view, attempt.identity
    users: list[str | int] = [identity.username]
    if identity.user_id is not None:
        users.append(identity.user_id.number)

    def found(claim: Key) -> Iterator[Raw]:
        """Yield the user's pods that mount the claim, those from before a rename, too; one may come twice."""
        return chain.from_iterable(pods.find(mount_index_key(user, claim)) for user in users)

    return plan_placement(identity, claims, found)


def _beside(pod: Raw, beside: SameNode) -> Raw:
    annotations = {**annotations_of(pod), SAME_NODE_ANNOTATION: beside.servername}
    affinity = bound_to_node(pod["spec"].get("affinity"), beside.node)
    return {
        **pod,
        "metadata": {**metadata_of(pod), "annotations": annotations},
        "spec": {**pod["spec"], "affinity": affinity},
    }
