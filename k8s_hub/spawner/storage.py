"""A server's claims: their choice, their creation, their deletion and their size."""

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, assert_never

from k8s_hub.claims.deletion import Deletable, Deletion, Kept, Sibling, may_delete
from k8s_hub.claims.extra import ExtraClaim, RetentionPolicy, choose_extra, may_delete_extra
from k8s_hub.claims.home import (
    Create,
    HomeChoice,
    HomeRequest,
    LegacyName,
    Refuse,
    UseExisting,
    Why,
    choose_home,
    legacy_names,
    without_number,
)
from k8s_hub.claims.lookup import ClaimLookup, missing_growth
from k8s_hub.claims.placement import mounted_claims
from k8s_hub.claims.saved_state import SavedState
from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.diagnosis import Diagnosis
from k8s_hub.diagnosis.observation import Observation
from k8s_hub.diagnosis.obstacles import volume_refused
from k8s_hub.diagnosis.storage import volume_in_words
from k8s_hub.kube.core.errors import Conflict, Forbidden, KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import CLAIMS
from k8s_hub.kube.event_subscription import EventSubscription
from k8s_hub.naming.ownership import ServerIdentity, is_ours, with_user_id
from k8s_hub.naming.templates import Names, Scope, TemplateError, scope_of
from k8s_hub.objects.keys import Key, is_terminating, key_of, phase_of, uid_of, version_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.spawner.attempt import Attempt, get, start_failure, subscribe, watch_until
from k8s_hub.spawner.cluster import Cluster
from k8s_hub.spawner.database import HubDatabase
from k8s_hub.spawner.failures import SpawnFailed
from k8s_hub.spawner.resolve import Resolver
from k8s_hub.spawner.spec import ServerSpec

logger = logging.getLogger(__name__)

CLAIM_SEEN = 30.0
"""Seconds until the view shows a claim that the API server has; then the start looks again what there is."""

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
    attempt: Attempt,
    spec: ServerSpec,
    database: HubDatabase,
    manifest: Callable[[str], Raw],
    subscription: EventSubscription | None,
) -> Raw:
    """Return the server's home; create it from ``manifest(name)`` if it is missing."""
    return await ensure_claim(
        attempt, partial(choose_home, home_request(spec, database)), manifest, subscription
    )


async def ensure_extra_claim(
    attempt: Attempt,
    spec: ServerSpec,
    extra: ExtraClaim,
    database: HubDatabase,
    *,
    resolver: Resolver,
    subscription: EventSubscription | None,
) -> Raw:
    """Return one of the server's extra claims; create it if it is missing."""
    request = extra_claim_request(spec, extra, resolver.expand(extra.name_template), database)
    return await ensure_claim(
        attempt,
        partial(choose_extra, request, extra.name),
        partial(resolver.extra_claim, extra),
        subscription,
        extra.name,
    )


def existing_home(attempt: Attempt, spec: ServerSpec, database: HubDatabase) -> str | None:
    """Return the name of the server's home in the view of claims; None if it has none."""
    choice = choose_home(home_request(spec, database), attempt.cluster.claims.view)
    return choice.name if isinstance(choice, UseExisting) else None


# --- Creation ---


async def ensure_claim(
    attempt: Attempt,
    choose: Callable[[ClaimLookup], HomeChoice],
    manifest: Callable[[str], Raw],
    subscription: EventSubscription | None,
    volume: str = "",
) -> Raw:
    """Return the claim that ``choose`` finds; create it from ``manifest(name)`` if there is none.

    ``volume`` is the name of an extra claim, "" for the home. If an earlier start gave up the create of this claim, this
    one uses its name, even if its user was renamed since: the API server may still carry out the other create.
    Subscribes to the claim's events before it creates the claim. Kubernetes reports a missing storage class,
    for example, at once and then not again for a long time.
    """
    while True:
        choice = choose(attempt.cluster.claims.view)
        match choice:
            case Refuse():
                raise SpawnFailed(volume_refused(choice.message, choice.detail))
            case UseExisting(missing=str(missing)) | Create(missing=str(missing)) if await _is_out_of_sight(
                attempt, attempt.key(missing)
            ):
                continue
            case UseExisting(claim=claim) if is_terminating(claim):
                await _until_claim_gone(attempt, claim)
            case UseExisting(claim=claim):
                subscribe(subscription, CLAIMS, key_of(claim))
                if subscription is not None and phase_of(claim) == "Pending":
                    await subscription.backfill()
                return claim
            case Create():
                created = await _create_chosen(attempt, choice, manifest, subscription, volume)
                if created is not None:
                    return created
            case _:
                assert_never(choice)


async def _create_chosen(
    attempt: Attempt,
    choice: Create,
    manifest: Callable[[str], Raw],
    subscription: EventSubscription | None,
    volume: str,
) -> Raw | None:
    """Return the new claim; None if the choice has to be made again. A chosen name does not wait for an earlier create."""
    late, purpose = attempt.cluster.late_claims, (*_owner_of(attempt.identity), volume)
    is_assigned = choice.why is Why.ASSIGNED
    key = (None if is_assigned else late.key_for(purpose)) or attempt.key(choice.name)
    body = manifest(key.name)
    try:
        created = await _create_claim(attempt, body, subscription)
    except asyncio.CancelledError:
        late.add(purpose, key)
        raise
    if not is_assigned:
        late.settle(purpose)
    return created or _named_by_a_subclass(attempt, body, key)


def _owner_of(identity: ServerIdentity) -> tuple[str, str | int, str]:
    """Return what identifies a server beyond renames of its user."""
    user = identity.username if identity.user_id is None else identity.user_id.number
    return (identity.namespace, user, identity.servername)


async def _is_out_of_sight(attempt: Attempt, claim: Key) -> bool:
    """Return True after a claim that the view lacked was waited for: choose again; False if it lacks none."""
    # The view may show one that was refused: it has become another volume.
    is_seen = attempt.cluster.claims.view.get(claim) is not None
    if is_seen or await get(attempt, CLAIMS, claim) is None:
        return False
    attempt.cluster.claims.reopen(f"it lacked {claim}")
    await _until_seen(attempt, claim)
    return True


async def _until_seen(attempt: Attempt, claim: Key) -> None:
    """Return once the view shows the claim, or after `CLAIM_SEEN`: it may have appeared and gone between two looks."""
    deadline = asyncio.get_running_loop().time() + CLAIM_SEEN
    with suppress(TimeoutError):
        await attempt.cluster.claims.wait_for(claim, lambda kept: kept is not None, deadline=deadline)


async def _create_claim(
    attempt: Attempt, manifest: Raw, subscription: EventSubscription | None
) -> Raw | None:
    """Return the new claim; None if the name is taken: the view shows that claim now, unless it has gone since."""
    key = attempt.key(key_of(manifest).name)
    body = with_user_id(manifest, attempt.identity.user_id)
    subscribe(subscription, CLAIMS, key)
    try:
        return await attempt.asking(lambda: attempt.cluster.api.create(CLAIMS, key.namespace, body))
    except Conflict:
        await _until_seen(attempt, key)
        return None
    except Forbidden as error:
        # With a full quota, the API server also refuses a claim that already exists.
        if await get(attempt, CLAIMS, key) is None:
            raise start_failure(attempt, error, CLAIMS.kind, key.name, volume_in_words(manifest)) from error
        await _until_seen(attempt, key)
        return None
    except KubeError as error:
        raise start_failure(attempt, error, CLAIMS.kind, key.name, volume_in_words(manifest)) from error


def _named_by_a_subclass(attempt: Attempt, manifest: Raw, chosen: Key) -> Raw | None:
    """Return the claim that exists by the manifest's name if that is not the chosen one: a choice would never find it."""
    key = attempt.key(key_of(manifest).name)
    return None if key == chosen else attempt.cluster.claims.view.get(key)


async def _until_claim_gone(attempt: Attempt, claim: Raw) -> None:
    key, uid, view = key_of(claim), uid_of(claim), attempt.cluster.claims.view

    def look() -> bool | Diagnosis:
        entry = view.entry(key)
        if entry is None or entry.uid != uid:
            return True
        return attempt.diagnose(
            Observation(pod=None, claim=entry.kept, events=(), now=utcnow(), started=attempt.started)
        )

    await watch_until(attempt, look, claims=[key])


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


async def grow(attempt: Attempt, claim: Raw, capacity: str | None) -> None:
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


async def _ask_for_more(attempt: Attempt, key: Key, capacity: str | None) -> str | None:
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
