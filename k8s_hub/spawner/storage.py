"""A server's claims: their choice, their size, their deletion, and the node that can mount them."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, assert_never
from weakref import WeakValueDictionary

from k8s_hub.claims.deletion import Deletable, Deletion, Kept, Sibling, may_delete
from k8s_hub.claims.extra import ExtraClaim, RetentionPolicy, choose_extra, may_delete_extra
from k8s_hub.claims.home import (
    HomeRequest,
    LegacyName,
    UseExisting,
    choose_home,
    legacy_names,
    without_number,
)
from k8s_hub.claims.lookup import missing_growth
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
from k8s_hub.claims.saved_state import SavedState
from k8s_hub.diagnosis import obstacles
from k8s_hub.diagnosis.diagnosis import Diagnosis
from k8s_hub.kube.core.errors import Conflict, Forbidden, KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import CLAIMS
from k8s_hub.kube.event_subscription import EventSubscription
from k8s_hub.manifests.pod import bound_to_node
from k8s_hub.naming.ownership import SAME_NODE_ANNOTATION, is_ours
from k8s_hub.naming.templates import Names, Scope, TemplateError, scope_of
from k8s_hub.objects.keys import Key, annotations_of, key_of, metadata_of, version_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.spawner import start
from k8s_hub.spawner.cluster import Cluster, mounting
from k8s_hub.spawner.database import HubDatabase
from k8s_hub.spawner.failures import SpawnFailed
from k8s_hub.spawner.resolve import Resolver
from k8s_hub.spawner.spec import ServerSpec

logger = logging.getLogger(__name__)

GROWING = RetryPolicy(deadline=5.0)
"""A start does not wait longer than this for a larger claim: the smaller one works too."""


# --- Which claims ---


def needs_claims(spawner: Any) -> bool:
    """Tell whether a spawner manages claims; the cluster alone handles claims that only `volumes` names."""
    return spawner.storage_pvc_ensure or bool(spawner.extra_claims)


def home_request(spec: ServerSpec, database: HubDatabase) -> HomeRequest:
    """Return everything that the choice of the home claim depends on."""
    return HomeRequest(
        identity=spec.identity,
        template_name=spec.home.template_name,
        scope=scope_of(spec.home.template),
        assigned_name=spec.home.assigned_name,
        remembered_name=spec.home.remembered_name,
        legacy_names=(_legacy_names(spec, spec.fields) or ()) if spec.handles_legacy_names else (),
        taken=frozenset().union(*(state.claims for state in database.states_of_other_servers().values())),
        known_since=database.known_since(),
        living_users=database.living_users,
        taken_by_others=database.taken_by_others(spec.identity.namespace),
    )


def extra_claim_request(
    spec: ServerSpec, extra: ExtraClaim, template_name: str, database: HubDatabase
) -> HomeRequest:
    """Return everything that the choice of an extra claim depends on."""
    is_everybodys = extra.scope is Scope.EVERYBODY
    return replace(
        home_request(spec, database),
        template_name=template_name,
        scope=extra.scope,
        assigned_name=None,
        remembered_name=None if is_everybodys else spec.extra_claim_names.get(extra.name),
        legacy_names=(),
    )


def _legacy_names(spec: ServerSpec, fields: Names) -> tuple[LegacyName, ...] | None:
    """Return the names that a server's home may have; None if a subclass has added fields to the template."""
    try:
        return legacy_names(spec.home.template, fields)
    except TemplateError:
        return None


async def ensure_home(
    attempt: start.Attempt,
    spec: ServerSpec,
    database: HubDatabase,
    manifest: Callable[[str], Raw],
    feed: EventSubscription | None,
) -> Raw:
    """Return the server's home; create it from ``manifest(name)`` if it is missing."""
    return await start.ensure_claim(
        attempt, partial(choose_home, home_request(spec, database)), manifest, feed
    )


async def ensure_extra_claim(
    attempt: start.Attempt,
    spec: ServerSpec,
    extra: ExtraClaim,
    database: HubDatabase,
    *,
    resolver: Resolver,
    feed: EventSubscription | None,
) -> Raw:
    """Return one of the server's extra claims; create it if it is missing."""
    request = extra_claim_request(spec, extra, resolver.expand(extra.name_template), database)
    return await start.ensure_claim(
        attempt,
        partial(choose_extra, request, extra.name),
        partial(resolver.extra_claim, extra),
        feed,
        extra.name,
    )


def existing_home(attempt: start.Attempt, spec: ServerSpec, database: HubDatabase) -> str | None:
    """Return the name of the server's home in the view of claims; None if it has none."""
    choice = choose_home(home_request(spec, database), attempt.cluster.claims.view)
    return choice.name if isinstance(choice, UseExisting) else None


# --- Deletion ---


async def delete_home(
    cluster: Cluster,
    spec: ServerSpec,
    name: str,
    database: HubDatabase,
    *,
    starting: Sequence[str],
    policy: RetryPolicy,
    log: logging.Logger,
) -> None:
    """Delete the home of a permanently removed server, unless its owner is in any doubt.

    ``starting``: the user's servers that are about to use it. Raises KubeError or TimeoutError if the cluster does not answer.
    """
    key = Key(spec.identity.namespace, name)
    if not _names_its_user(spec, name):
        decision: Deletion = Kept(reason="its name does not contain the user's, so that others may share it")
        await _delete_claim(cluster, key, decision, policy, log)
        return
    async with asyncio.timeout(policy.deadline):
        await cluster.pods.wait_synced(deadline=math.inf)
    try:
        claim = await _read_claim(cluster, key, policy)
    except NotFound:
        claim = None
    decision = may_delete(
        claim,
        identity=spec.identity,
        scope=scope_of(spec.home.template),
        is_remembered=name == spec.home.remembered_name,
        siblings=_siblings(spec, database),
        other_users=database.users_with_claim(name, key.namespace),
        in_use_by=[*starting, *_pods_of_others(cluster, spec, key)],
    )
    await _delete_claim(cluster, key, decision, policy, log)


def _names_its_user(spec: ServerSpec, name: str) -> bool:
    """True for a claim's name that the template or an earlier version gave this user, or that contains the user's name."""
    names = _legacy_names(spec, spec.fields) or ()
    return spec.fields.are_in(name) or without_number(name) in {legacy.name for legacy in names}


def _pods_of_others(cluster: Cluster, spec: ServerSpec, claim: Key) -> Iterator[str]:
    """Yield the pods of other servers that mount a claim."""
    for key in cluster.pods.view:
        pod = cluster.pods.view.get(key)
        if (
            pod is not None
            and key.namespace == claim.namespace
            and claim.name in mounted_claims(pod)
            and not is_ours(pod, spec.identity)
        ):
            yield f"the pod {key.name}"


async def delete_extra_claims(
    cluster: Cluster, spec: ServerSpec, database: HubDatabase, *, policy: RetryPolicy, log: logging.Logger
) -> None:
    """Delete the extra claims of a permanently removed server, except those to keep and those in any doubt.

    Raises KubeError if the cluster does not answer; the claims not deleted by then stay.
    """
    to_keep = {extra.name for extra in spec.extra_claims if extra.keep is RetentionPolicy.ALWAYS}
    for name, claim_name in spec.extra_claim_names.items():
        key = Key(spec.identity.namespace, claim_name)
        with suppress(NotFound, Conflict):  # already gone, or replaced by another claim
            claim = await _read_claim(cluster, key, policy)
            states = database.states_of_other_servers()
            decision = may_delete_extra(
                claim,
                name,
                is_kept=name in to_keep,
                identity=spec.identity,
                siblings=[
                    Sibling(servername=servername, claim=state.extra_claims.get(name))
                    for servername, state in states.items()
                ],
                other_users=database.users_with_claim(claim_name, key.namespace),
            )
            await _delete_claim(cluster, key, decision, policy, log)


async def _read_claim(cluster: Cluster, key: Key, policy: RetryPolicy) -> Raw:
    return await retrying(policy, partial(cluster.api.get, CLAIMS, key), on=Unavailable)


async def _delete_claim(
    cluster: Cluster, key: Key, decision: Deletion, policy: RetryPolicy, log: logging.Logger
) -> None:
    match decision:
        case Deletable(uid=uid):
            await retrying(policy, partial(cluster.api.delete, CLAIMS, key, uid=uid), on=Unavailable)
            log.info("%s: the claim is deleted", key)
        case Kept(reason=reason):
            log.info("%s: the claim is kept because %s", key, reason)


def _siblings(spec: ServerSpec, database: HubDatabase) -> list[Sibling]:
    """Return this user's other servers, including the default server before its first start."""
    states = {"": SavedState(), **database.states_of_other_servers()}
    return [
        Sibling(
            servername=servername,
            claim=state.pvc_name,
            has_run=state.has_run,
            # These include the current scheme's name.
            names=None if names is None else frozenset(legacy.name for legacy in names),
        )
        for servername, state in states.items()
        if servername != spec.identity.servername
        for names in [_legacy_names(spec, spec.fields_of(servername))]
    ]


# --- Size ---


async def grow(attempt: start.Attempt, claim: Raw, capacity: str | None) -> None:
    """Request the configured size once if the claim requests less; None requests nothing.

    The start continues whatever the result.
    """
    if missing_growth(claim, capacity) is None:
        return
    key = key_of(claim)
    try:
        size = await retrying(GROWING, lambda: _ask_for_more(attempt, key, capacity), on=Unavailable)
    except Forbidden as error:
        if "cannot patch resource" not in error.message:
            logger.warning("%s: cannot grow the claim to %s: %s", key, capacity, error)
            return
        logger.warning(
            "%s: cannot grow the claim to %s: the hub's Role needs the verb patch on persistentvolumeclaims "
            "(KubeSpawner.storage_grow): %s",
            key,
            capacity,
            error,
        )
    except KubeError as error:
        logger.warning("%s: cannot grow the claim to %s: %s", key, capacity, error)
    else:
        if size is not None:
            logger.info("%s: the claim grows to %s", key, size)


async def _ask_for_more(attempt: start.Attempt, key: Key, capacity: str | None) -> str | None:
    """Request the larger size and return it; None if the claim is large enough by now."""
    # Read the claim again: somebody may just have raised its size further than a stale view shows.
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
    spec: ServerSpec, attempt: start.Attempt, pod: Raw, claims: Sequence[Raw]
) -> AsyncIterator[PlacementLock]:
    """Place no other server of the user meanwhile; code that creates a pod in the body notes it in the lock."""
    placement = PlacementLock()
    if not (spec.is_placed_beside_others and spec.shares_claims):
        yield placement
        return
    whose = (attempt.cluster.api.host, attempt.identity.namespace, attempt.identity.username)
    placement = _placement_locks.setdefault(whose, placement)
    # Before the lock: a pod on a dead node may take minutes to go, and the user's other servers must not wait.
    await start.make_room(attempt, spec.pod_name)
    # Before the lock too: a user reads about this wait for another server's node, but not about one for the lock.
    await _until_known(attempt, _mounted(pod, claims))
    async with placement.lock:
        if placement.created is not None:
            await start.until_seen(attempt, placement.created)
        yield placement


async def placed(spec: ServerSpec, attempt: start.Attempt, pod: Raw, claims: Sequence[Raw]) -> Raw:
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
    attempt: start.Attempt, claims: Sequence[Raw]
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

    return await start.watch_until(attempt, look, pod=first.pod)


def _plan(attempt: start.Attempt, claims: Sequence[Raw]) -> Placement:
    pods, identity = attempt.cluster.pods.view, attempt.identity
    users: list[str | int] = [identity.username]
    if identity.user_id is not None:
        users.append(identity.user_id.number)

    def found(claim: Key) -> Iterator[Raw]:
        """Yield the user's pods that mount the claim, those from before a rename, too; one may come twice."""
        return chain.from_iterable(pods.find(mounting(user, claim)) for user in users)

    return plan_placement(identity, claims, found)


def _beside(pod: Raw, beside: SameNode) -> Raw:
    annotations = {**annotations_of(pod), SAME_NODE_ANNOTATION: beside.servername}
    affinity = bound_to_node(pod["spec"].get("affinity"), beside.node)
    return {
        **pod,
        "metadata": {**metadata_of(pod), "annotations": annotations},
        "spec": {**pod["spec"], "affinity": affinity},
    }
