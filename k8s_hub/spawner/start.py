"""The pod of one start: create it in place of older ones, and wait until it serves.

Every function may be cancelled at any point: the id of the attempt identifies everything it requested.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.containers import server_silent, up
from k8s_hub.diagnosis.diagnosis import Diagnosis, GracePeriods, Reason, at_deadline
from k8s_hub.diagnosis.observation import Observation
from k8s_hub.diagnosis.obstacles import (
    foreign_object,
    namesakes_object,
    new_namespace,
    previous_server,
    vanished_pod,
)
from k8s_hub.diagnosis.pod_life import is_ready_to_serve
from k8s_hub.diagnosis.refusals import is_account_missing_yet
from k8s_hub.kube.core.errors import Conflict, Forbidden, KubeError
from k8s_hub.kube.core.resources import PODS, Resource
from k8s_hub.kube.event_subscription import EventSubscription
from k8s_hub.kube.informer import RECHECK_INTERVAL
from k8s_hub.naming.ownership import Relation, has_user_id, is_of_namesake, is_ours, relation
from k8s_hub.objects.keys import Key, is_terminating, key_of, uid_of, version_of
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.attempt import (
    Attempt,
    delete,
    get,
    refusal_of,
    requested,
    start_failure,
    subscribe,
    wait_for,
    watch_until,
)
from k8s_hub.spawner.cluster import server_index_key
from k8s_hub.spawner.failures import SpawnFailed
from k8s_hub.spawner.readiness import Probe

OUT_OF_SIGHT = 1.0
"""Seconds between two requests about a pod missing from the view: it has another component label, or is new."""

LOOKS_FOR_OVERLOOKED = 10
"""Most looks at a pod that exists and is missing from the view: somebody may have changed its component label."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two requests to a server that does not answer yet: the first and the longest pause."""


async def delete_older_pods(attempt: Attempt, name: str) -> None:
    """Delete older pods of this server that the view shows; return when they are gone."""
    key = attempt.key(name)
    await _delete_renamed_pods(attempt, key)
    while (existing := attempt.cluster.pods.view.get(key)) is not None:
        if relation(existing, attempt.identity, attempt.attempt_id) not in {
            Relation.OLDER,
            Relation.TERMINATING,
        }:
            return
        await _delete_older_pod(attempt, existing)


async def _delete_renamed_pods(attempt: Attempt, key: Key) -> None:
    """Delete this server's pods with other names, from before a rename of its user; return when they are gone."""
    identity = attempt.identity
    if identity.user_id is None:
        return
    for pod in tuple(
        attempt.cluster.pods.view.find(server_index_key(identity.user_id.number, identity.servername))
    ):
        # Another hub of this namespace may have a user of this name, but never one of this id.
        if key_of(pod) != key and has_user_id(pod, identity) and is_ours(pod, identity):
            await _delete_older_pod(attempt, pod)


async def create_pod(attempt: Attempt, manifest: Raw) -> Raw:
    """Return the pod of this attempt; delete older pods of this server, and leave another's untouched."""
    await _delete_renamed_pods(attempt, attempt.key(key_of(manifest).name))
    return await create_or_find(
        attempt,
        PODS,
        attempt.marked(manifest),
        on_older=partial(_delete_older_pod, attempt),
        foreign=partial(foreign_object, kind=PODS.kind),
        on_forbidden=partial(_until_set_up, attempt, attempt.key(key_of(manifest).name)),
    )


async def create_or_find(
    attempt: Attempt,
    resource: Resource,
    body: Raw,
    *,
    on_older: Callable[[Raw], Awaitable[object]],
    foreign: Callable[[Raw], Diagnosis],
    on_forbidden: Callable[[Forbidden], Awaitable[object]] | None = None,
) -> Raw:
    """Return the object of this attempt (``body`` has its id): a new one, or one from a create that lost its reply.

    Passes an older object of this server to ``on_older``. Leaves another owner's object untouched and fails the
    start. Retries the create each time ``on_forbidden`` returns.
    """
    key = attempt.key(key_of(body).name)
    while True:
        try:
            return await attempt.asking(lambda: attempt.create(resource, key.namespace, body))
        except Conflict:
            existing = await get(attempt, resource, key)
        except KubeError as error:
            if on_forbidden is None or not isinstance(error, Forbidden):
                raise start_failure(attempt, error, resource.kind, key.name) from error
            await on_forbidden(error)
            continue
        if existing is None:
            continue
        match relation(existing, attempt.identity, attempt.attempt_id):
            case Relation.THIS_ATTEMPT:
                return existing
            case Relation.FOREIGN if is_of_namesake(existing, attempt.identity):
                raise SpawnFailed(namesakes_object(existing, resource.kind))
            case Relation.FOREIGN:
                raise SpawnFailed(foreign(existing))
            case Relation.OLDER | Relation.TERMINATING:
                await on_older(existing)


async def _until_set_up(attempt: Attempt, pod: Key, refusal: Forbidden) -> None:
    """Pause if the refusal only means that the namespace is new; else fail the start."""
    lasting = utcnow() - attempt.started
    is_new = is_account_missing_yet(refusal_of(refusal, PODS.kind, pod.name))
    if not is_new or lasting >= GracePeriods().missing_object:
        raise start_failure(attempt, refusal, PODS.kind, pod.name) from refusal
    attempt.emit(new_namespace(pod.namespace, refusal.message))
    await asyncio.sleep(FIRST_PAUSE)


async def until_seen(attempt: Attempt, pod: Raw) -> None:
    """Return once the view is at least as recent as the pod's creation."""
    view, created = attempt.cluster.pods.view, version_of(pod)
    await watch_until(
        attempt, lambda: True if view.has_seen(created) else requested(attempt.started), pod=key_of(pod)
    )


async def until_serving(
    attempt: Attempt,
    pod: Raw,
    claims: Sequence[Key],
    subscription: EventSubscription | None,
    created_secrets: Collection[str] = (),
) -> Raw:
    """Return the kept part of the pod once it is ready for its user; fail as soon as waiting cannot help."""
    look = _looking_at(attempt, pod, claims, subscription, created_secrets)
    while True:
        try:
            serving = await watch_until(
                attempt, look, pod=key_of(pod), claims=claims, subscription=subscription
            )
        except SpawnFailed as failure:
            if failure.diagnosis.reason is not Reason.DELETED or not await _is_overlooked(attempt, pod):
                raise
        else:
            attempt.emit(up())
            return serving


async def _is_overlooked(attempt: Attempt, pod: Raw) -> bool:
    """Return True once the view shows a pod that it lacked; False if it lacks none, or if no list shows the pod."""
    key, uid, pods = key_of(pod), uid_of(pod), attempt.cluster.pods

    def is_shown() -> bool:
        entry = pods.view.entry(key)
        return entry is not None and entry.uid == uid

    if is_shown():
        return False
    looks = 0
    while looks < LOOKS_FOR_OVERLOOKED:
        found = await get(attempt, PODS, key)
        if found is None or uid_of(found) != uid:
            return False
        if pods.is_watching:  # else it lists
            looks += 1
            await pods.repair(key)
        await asyncio.sleep(OUT_OF_SIGHT)
        if is_shown():
            return True
    return False


async def until_ready_after_restart(attempt: Attempt, pod: Raw) -> Raw:
    """Wait for a pod that an earlier hub process started; this process missed its first events."""
    if is_ready_to_serve(pod):
        return pod
    async with attempt.cluster.following() as subscription:
        subscribe(subscription, PODS, key_of(pod))
        if subscription is not None:
            await subscription.backfill()
        return await until_serving(attempt, pod, (), subscription)


async def until_answering(attempt: Attempt, pod: Raw, probe: Probe, *, seconds: float) -> None:
    """Return once the server answers; fail as soon as the pod ends, or after ``seconds``."""
    look, wakeup, probing = _looking_at(attempt, pod, (), None), asyncio.Event(), _ProbeLoop(probe)
    clock = asyncio.get_running_loop().time
    begun = clock()
    async with probing.running(wakeup):
        with attempt.cluster.pods.subscribe(key_of(pod), wakeup=wakeup):
            while not probing.has_answer():
                wakeup.clear()
                seen = look()
                if not isinstance(seen, Diagnosis):
                    seen = server_silent(seen, probing.silence)
                waited = clock() - begun
                if waited >= seconds:
                    seen = at_deadline(seen, timedelta(seconds=waited))
                if seen.fatal:
                    raise SpawnFailed(seen)
                if probing.has_asked:
                    attempt.emit(seen)
                if not await wait_for(wakeup, min(RECHECK_INTERVAL, seconds - waited)):
                    await attempt.cluster.check_watches(key_of(pod))


class _ProbeLoop:
    """Asks a server repeatedly, in a separate task, so that a hanging request does not block the look at its pod."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._task: asyncio.Task[None] | None = None
        self.has_asked = False
        #: The reason why there is no usable answer yet.
        self.silence = f"{probe.url} has not responded to the first request"

    def has_answer(self) -> bool:
        """Tell whether the server has answered; raise an exception of the asking task."""
        if self._task is None or not self._task.done():
            return False
        self._task.result()
        return True

    @asynccontextmanager
    async def running(self, wakeup: asyncio.Event) -> AsyncIterator[None]:
        """Ask while the body runs, and set the event after each answer."""
        task = self._task = asyncio.create_task(self._probe_until_answered(wakeup))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _probe_until_answered(self, wakeup: asyncio.Event) -> None:
        pause = FIRST_PAUSE
        try:
            while (silence := await self._probe.ask()) is not None:
                self.silence, self.has_asked = silence, True
                wakeup.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            wakeup.set()


def _looking_at(
    attempt: Attempt,
    pod: Raw,
    claims: Sequence[Key],
    subscription: EventSubscription | None,
    created_secrets: Collection[str] = (),
) -> Callable[[], Raw | Diagnosis]:
    """Return a function that returns the kept part of the pod if it is ready for its user, else a diagnosis."""
    key, uid, created = key_of(pod), uid_of(pod), version_of(pod)
    pods, known = attempt.cluster.pods.view, attempt.cluster.claims.view

    def look() -> Raw | Diagnosis:
        entry = pods.entry(key)
        is_same = entry is not None and entry.uid == uid
        if not is_same and pods.has_seen(created):
            return vanished_pod(pod)
        events = () if subscription is None else subscription.events()
        attempt.add_events(event for event in events if _is_about(event, uid))
        kept = entry.kept if entry is not None and is_same else None
        if kept is not None and is_ready_to_serve(kept):
            return kept
        home, *others = [known.get(each) for each in claims] or [None]
        return attempt.diagnose(
            Observation(
                pod=kept,
                claim=home,
                other_claims=[claim for claim in others if claim is not None],
                created_secrets=created_secrets,
                events=events,
                now=utcnow(),
                started=attempt.started,
            )
        )

    return look


def _is_about(event: Raw, uid: str) -> bool:
    """Tell whether an event is about the pod; some controllers omit the uid."""
    involved = event.get("involvedObject") or {}
    return involved.get("kind") == PODS.kind and involved.get("uid") in {uid, None}


async def _delete_older_pod(attempt: Attempt, pod: Raw) -> None:
    """Delete an earlier pod of this server, unless it is already being deleted; return when it is gone."""
    if not is_terminating(pod):
        await delete(attempt, PODS, pod, grace_seconds=attempt.grace_seconds)
    await _until_pod_gone(attempt, pod)


async def _until_pod_gone(attempt: Attempt, pod: Raw) -> None:
    """Return once the pod is gone; if the view does not show it, return after a pause: the caller asks again."""
    key, uid, view = key_of(pod), uid_of(pod), attempt.cluster.pods.view

    def look() -> bool | Diagnosis:
        entry = view.entry(key)
        return True if entry is None or entry.uid != uid else previous_server(entry.kept, utcnow())

    if look() is True:
        attempt.emit(previous_server(pod, utcnow()))
        await asyncio.sleep(OUT_OF_SIGHT)
    await watch_until(attempt, look, pod=key)
