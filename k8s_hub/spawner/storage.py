"""What a server mounts besides its home, how large its claims are, and the node where they can be mounted."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, assert_never
from weakref import WeakValueDictionary

from k8s_hub.claims.deletion import Deletable, Kept
from k8s_hub.claims.extra import ExtraClaim, Keep, choose_extra, may_delete_extra, parse_extra_claims
from k8s_hub.claims.growth import missing_growth
from k8s_hub.claims.placement import (
    Anywhere,
    Beside,
    Exclusive,
    NotKnownYet,
    Placement,
    Torn,
    mounted_claims,
    plan_placement,
)
from k8s_hub.diagnosis import sharing
from k8s_hub.diagnosis.diagnosis import Diagnosis
from k8s_hub.kube.core.errors import Conflict, Forbidden, KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import CLAIMS
from k8s_hub.manifests.affinity import bound_to_node
from k8s_hub.manifests.claim import build_claim
from k8s_hub.naming.ownership import BESIDE_ANNOTATION
from k8s_hub.naming.templates import Scope, scope_of
from k8s_hub.objects.keys import Key, annotations_of, key_of, metadata_of, version_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.spawner import launch, resolve
from k8s_hub.spawner.cluster import Cluster, mounting
from k8s_hub.spawner.failures import SpawnFailed

if TYPE_CHECKING:
    from k8s_hub.kube.event_subscription import EventSubscription
    from k8s_hub.spawner.kubespawner import KubeSpawner

logger = logging.getLogger(__name__)

GROWING = RetryPolicy(deadline=5.0)
"""A start does not wait longer than this for a larger claim: it works with the smaller one too."""


async def ensure_extra_claims(
    spawner: "KubeSpawner", attempt: launch.Attempt, feed: "EventSubscription | None"
) -> list[Raw]:
    """Return the claims that the server has besides its home, created where they are missing."""
    claims = []
    for extra in parse_extra_claims(spawner.extra_claims):

        def manifest(name: str, extra: ExtraClaim = extra) -> Raw:
            return build_claim(resolve.extra_claim_inputs(spawner, extra, name))

        choose = partial(choose_extra, resolve.extra_claim_request(spawner, extra), extra.name)
        claim = await launch.ensure_claim(attempt, choose, manifest, feed)
        spawner.extra_claim_names = {**spawner.extra_claim_names, extra.name: key_of(claim).name}
        if spawner.storage_grow:
            await grow(attempt, claim, extra.capacity)
        claims.append(claim)
    return claims


async def delete_extra_claims(spawner: "KubeSpawner", cluster: Cluster) -> None:
    """Delete those of a server that is gone for good which the admin wants to go with it, and no doubtful one.

    Raises KubeError where the cluster does not answer; what was not deleted then is kept.
    """
    policy = RetryPolicy(deadline=spawner.k8s_api_request_retry_timeout)
    to_keep = {extra.name for extra in parse_extra_claims(spawner.extra_claims) if extra.keep is Keep.ALWAYS}
    for name, claim_name in spawner.extra_claim_names.items():
        key = Key(spawner.namespace, claim_name)
        with suppress(NotFound, Conflict):  # gone already, or another one by now
            claim = await retrying(policy, partial(cluster.api.get, CLAIMS, key), on=Unavailable)
            decision = may_delete_extra(
                claim,
                name,
                is_kept=name in to_keep,
                identity=resolve.identity(spawner),
                siblings=resolve.siblings_with_extra(spawner, name),
                other_users=resolve.users_with_claim(spawner, claim_name),
            )
            match decision:
                case Deletable(uid=uid):
                    delete = partial(cluster.api.delete, CLAIMS, key, uid=uid)
                    await retrying(policy, delete, on=Unavailable)
                    logger.info("%s: the claim is deleted", key)
                case Kept(reason=reason):
                    logger.info("%s: the claim is kept because %s", key, reason)


# --- Size ---


async def grow(attempt: launch.Attempt, claim: Raw, capacity: str | None) -> None:
    """Ask once for the configured size if the claim asks for less; whatever comes of it, the start goes on."""
    if missing_growth(claim, capacity) is None:
        return
    key = key_of(claim)
    try:
        size = await retrying(GROWING, lambda: _ask_for_more(attempt, key, capacity), on=Unavailable)
    except Forbidden as error:
        if "cannot patch resource" not in error.message:
            logger.warning("%s: the claim does not grow to %s: %s", key, capacity, error)
            return
        logger.warning(
            "%s: the claim does not grow to %s, because the hub may not do that: its Role needs the verb patch "
            "on persistentvolumeclaims (KubeSpawner.storage_grow): %s",
            key,
            capacity,
            error,
        )
    except KubeError as error:
        logger.warning("%s: the claim does not grow to %s: %s", key, capacity, error)
    else:
        if size is not None:
            logger.info("%s: the claim grows to %s", key, size)


async def _ask_for_more(attempt: launch.Attempt, key: Key, capacity: str | None) -> str | None:
    """Return the size that was asked for; None if the claim is as large by now."""
    # Read again: from an old view, a size that somebody has just raised further would look too small.
    claim = await attempt.cluster.api.get(CLAIMS, key)
    size = missing_growth(claim, capacity)
    if size is not None:
        change = {
            "metadata": {"resourceVersion": version_of(claim)},
            "spec": {"resources": {"requests": {"storage": size}}},
        }
        await attempt.cluster.api.patch(CLAIMS, key, change)
    return size


# --- Node ---


class Turn:
    """One server of a user is placed at a time, where they share claims: each has to see where the last one went."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        #: The pod that was created last; its place may not be in view yet.
        self.created: Raw | None = None


_turns: WeakValueDictionary[tuple[str, str, str], Turn] = WeakValueDictionary()
"""By API server, namespace and user, as long as any of the user's servers starts."""


@asynccontextmanager
async def in_turn(
    spawner: "KubeSpawner", attempt: launch.Attempt, pod: Raw, claims: Sequence[Raw]
) -> AsyncIterator[Turn]:
    """Let no other server of the user be placed meanwhile; who creates a pod inside notes it in the turn."""
    turn = Turn()
    if not (spawner.storage_same_node and _shares_claims(spawner)):
        yield turn
        return
    whose = (attempt.cluster.api.host, attempt.identity.namespace, attempt.identity.username)
    turn = _turns.setdefault(whose, turn)
    # Before the turn: a pod on a dead machine may take minutes to go, and the user's other servers need not wait.
    await launch.make_room(attempt, spawner.pod_name)
    # Before it too: who waits here for another server's node reads so, and not who waits for the turn.
    await _until_known(attempt, _mounted(pod, claims))
    async with turn.lock:
        if turn.created is not None:
            await launch.until_seen(attempt, turn.created)
        yield turn


def _shares_claims(spawner: "KubeSpawner") -> bool:
    templates = [
        spawner._home_name.template,  # noqa: SLF001 - of the same package
        *(extra.name_template for extra in parse_extra_claims(spawner.extra_claims)),
    ]
    return any(scope_of(template) is not Scope.SERVER for template in templates)


async def placed(spawner: "KubeSpawner", attempt: launch.Attempt, pod: Raw, claims: Sequence[Raw]) -> Raw:
    """Return the pod, bound to the node where another server of the user holds one of these claims, if one does.

    Fails where no node can be right. Seen are the pods of the hub's own component.
    """
    if not spawner.storage_same_node:
        return pod
    placement = await _until_known(attempt, _mounted(pod, claims))
    match placement:
        case Anywhere():
            return pod
        case Beside(node=node, claim=claim, servername=servername):
            wanted = pod["spec"].get("nodeName")
            if wanted not in {None, node}:
                raise SpawnFailed(sharing.on_another_machine(servername, claim, node=node, wanted=wanted))
            attempt.tell(sharing.placed_beside(servername, claim, node))
            return _beside(pod, placement)
        case Exclusive(claim=claim, servername=servername):
            raise SpawnFailed(sharing.in_exclusive_use(servername, claim))
        case Torn(servernames=servernames, nodes=nodes):
            raise SpawnFailed(sharing.torn_apart(servernames, nodes))
        case _:
            assert_never(placement)


def _mounted(pod: Raw, claims: Sequence[Raw]) -> list[Raw]:
    names = mounted_claims(pod)
    return [claim for claim in claims if key_of(claim).name in names]


async def _until_known(
    attempt: launch.Attempt, claims: Sequence[Raw]
) -> Anywhere | Beside | Exclusive | Torn:
    """Return where the pod may run once the other server's pod has its node; the start's deadline is the limit."""
    first = _plan(attempt, claims)
    if not isinstance(first, NotKnownYet):
        return first
    clock = asyncio.get_running_loop().time
    begun = clock()

    def look() -> Anywhere | Beside | Exclusive | Torn | Diagnosis:
        plan = _plan(attempt, claims)
        if not isinstance(plan, NotKnownYet):
            return plan
        waited = timedelta(seconds=clock() - begun)
        return sharing.waits_for_other_server(plan.servername, plan.claim, waited)

    return await launch.watch_until(attempt, look, pod=first.pod)


def _plan(attempt: launch.Attempt, claims: Sequence[Raw]) -> Placement:
    pods, identity = attempt.cluster.pods.view, attempt.identity
    return plan_placement(identity, claims, lambda claim: pods.find(mounting(identity.username, claim)))


def _beside(pod: Raw, beside: Beside) -> Raw:
    annotations = {**annotations_of(pod), BESIDE_ANNOTATION: beside.servername}
    affinity = bound_to_node(pod["spec"].get("affinity"), beside.node)
    return {
        **pod,
        "metadata": {**metadata_of(pod), "annotations": annotations},
        "spec": {**pod["spec"], "affinity": affinity},
    }
