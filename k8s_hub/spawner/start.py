"""The effects of one start in order: create the claims, create the pod, wait until it serves.

Every function may be cancelled at any point: the id of the attempt identifies everything it requested.
"""

import asyncio
import math
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar, assert_never
from uuid import uuid4

from k8s_hub.claims.home import Create, HomeChoice, Refuse, UseExisting
from k8s_hub.claims.lookup import ClaimLookup
from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.containers import server_silent, up
from k8s_hub.diagnosis.diagnosis import Diagnosis, GracePeriods, Reason, at_deadline, redacted
from k8s_hub.diagnosis.observation import Observation
from k8s_hub.diagnosis.obstacles import (
    cluster_busy,
    cluster_silent,
    foreign_object,
    namesakes_object,
    new_namespace,
    previous_server,
    vanished_pod,
    volume_refused,
    webhook_broken,
)
from k8s_hub.diagnosis.pod_life import is_ready_to_serve
from k8s_hub.diagnosis.refusals import VIEW, Refusal, is_account_missing_yet, is_webhook_broken
from k8s_hub.diagnosis.rules import diagnose
from k8s_hub.diagnosis.storage import volume_in_words
from k8s_hub.kube.core.errors import Conflict, Forbidden, KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import CLAIMS, PODS, Resource
from k8s_hub.kube.event_subscription import EventSubscription, Involved
from k8s_hub.kube.informer import Informer
from k8s_hub.naming.ownership import (
    Relation,
    ServerIdentity,
    has_user_id,
    is_of_namesake,
    is_ours,
    relation,
    with_attempt_id,
    with_user_id,
)
from k8s_hub.objects.keys import Key, is_dying, key_of, phase_of, uid_of, version_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.spawner.cluster import Cluster, owner
from k8s_hub.spawner.failures import SpawnFailed
from k8s_hub.spawner.progress import Progress
from k8s_hub.spawner.readiness import Probe
from k8s_hub.spawner.run_log import RunLog, log_broken_rule
from k8s_hub.spawner.spec import identity_of


class PendingCreates:
    """The create requests of one server's starts; the spawner owns it.

    The hub may cancel a start at any moment, and the API server may still execute a request that was cut off.
    So every request runs to its end here, and the stop that follows waits for its outcome.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Raw]] = set()
        #: The attempt that lost a reply: its object may exist, or may still be created, without our knowledge.
        self.uncertain_attempt: str | None = None

    async def run(self, create: Coroutine[Any, Any, Raw], *, attempt_id: str) -> Raw:
        """Return the created object; a cancellation ends the waiting, not the request."""
        task = asyncio.create_task(create)
        self._running.add(task)
        task.add_done_callback(partial(self._note_outcome, attempt_id))
        await asyncio.wait({task})
        return task.result()

    async def wait(self) -> None:
        """Wait until every request has an outcome."""
        while self._running:
            await asyncio.wait(self._running)

    def settle(self, attempt_id: str | None) -> None:
        """Forget an uncertain attempt: a stop has taken over the search for its object."""
        if self.uncertain_attempt == attempt_id:
            self.uncertain_attempt = None

    def _note_outcome(self, attempt_id: str, task: asyncio.Task[Raw]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        # After "retry later" (429), a refusal for now (401, 403) or a lost race for a quota (409), the API server
        # has created nothing. After any other Unavailable it may have.
        if task.cancelled() or (isinstance(error, Unavailable) and error.code not in {401, 403, 409, 429}):
            self.uncertain_attempt = attempt_id


@dataclass(slots=True)
class LatestRun:
    """What a spawner keeps of its server's latest run, apart from its `Life`; the spawner owns it."""

    log: RunLog
    progress: Progress = field(default_factory=Progress)
    creates: PendingCreates = field(default_factory=PendingCreates)
    #: The events of the start; None before it, or if the spawner does not watch events.
    feed: EventSubscription | None = None
    #: True once a form has shown how the last server ended.
    has_shown_end: bool = False
    #: Values of the starting pod that no message and no log may contain.
    secrets: frozenset[str] = frozenset()
    #: The user's last refused choice, which the form shows again.
    refused: Raw | None = None

    def emit(self, server: str, diagnosis: Diagnosis) -> None:
        """Emit a diagnosis, and log it if it is new; redact a failure, because the cluster may quote the pod."""
        said = diagnosis if diagnosis.reason is None else redacted(diagnosis, self.secrets)
        emitted = self.progress.emit(said)
        if emitted is not None:
            self.log.log_diagnosis(server, emitted)
        elif self.progress.latest is not None:
            self.log.log_slow_step(server, self.progress.latest, self.progress.unchanged_for())

    def at_deadline(self, start_timeout: float) -> Diagnosis:
        """Return why the start has not ended in time, with the limit that the administrator configured."""
        return at_deadline(self.progress.latest or cluster_silent(), timedelta(seconds=start_timeout))

    def forget_progress(self) -> None:
        """Begin a new progress if the last start is over; else keep it for its listeners."""
        if self.progress.has_ended:
            self.progress = Progress()

    def events(self) -> list[Raw]:
        """Return the events about the pod since the start began, latest last."""
        heard = () if self.feed is None else self.feed.events()
        return [event for event in heard if (event.get("involvedObject") or {}).get("kind") == PODS.kind]


T = TypeVar("T")

LOOK_AGAIN = 5.0
"""Seconds without news after which to judge the same facts again, because grace periods run out."""

CLAIM_SEEN = 30.0
"""Seconds until the view shows a claim that the API server has; then the start looks again what there is."""

OUT_OF_SIGHT = 1.0
"""Seconds between two requests about a pod missing from the view: it has another component label, or is new."""

LOOKS_FOR_OVERLOOKED = 10
"""Most looks at a pod that exists and is missing from the view: somebody may have changed its component label."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two requests to a server that does not answer yet: the first and the longest pause."""

ASKING = RetryPolicy(deadline=math.inf)
"""The deadline of the start is the only limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One start of one server."""

    cluster: Cluster
    identity: ServerIdentity
    #: Unique to this start; every object that it creates has the id in an annotation.
    attempt_id: str
    #: Aware, UTC.
    started: datetime
    #: Grace period in seconds for deleting an older pod of this server.
    grace_seconds: int
    creates: PendingCreates
    #: Receives each diagnosis of the start, for the user and the log.
    emit: Callable[[Diagnosis], object]
    #: Receives all events about the pod so far, latest last.
    add_events: Callable[[Iterable[Raw]], object]
    #: Applies the site's rules first, then ours.
    diagnose: Callable[[Observation], Diagnosis]

    async def asking(self, call: Callable[[], Awaitable[T]]) -> T:
        """Retry an API call for as long as the start lasts; the user reads what it waits for."""

        def on_wait(error: Unavailable, _seconds: float) -> None:
            self.emit(_waiting_for_cluster(error))

        return await retrying(ASKING, call, on=Unavailable, on_wait=on_wait)

    async def create(self, resource: Resource, namespace: str, body: Raw) -> Raw:
        """Create an object; if this start is cancelled meanwhile, a stop has to remove the object."""
        request = self.cluster.api.create(resource, namespace, body)
        return await self.creates.run(request, attempt_id=self.attempt_id)

    def marked(self, manifest: Raw) -> Raw:
        """Return the manifest with the ids of the user and of this start."""
        return with_attempt_id(with_user_id(manifest, self.identity.user_id), self.attempt_id)

    def key(self, name: str) -> Key:
        """Return the key of an object in the server's namespace."""
        return Key(self.identity.namespace, name)


def begin(spawner: Any, cluster: Cluster, run: LatestRun, started: datetime) -> Attempt:
    """Return a new start of a spawner's server."""
    return Attempt(
        cluster=cluster,
        identity=identity_of(spawner),
        attempt_id=uuid4().hex,
        started=started,
        grace_seconds=spawner.delete_grace_period,
        creates=run.creates,
        emit=partial(run.emit, spawner._log_name),  # noqa: SLF001 - as the hub's own log names it
        add_events=run.progress.add_events,
        diagnose=partial(
            diagnose,
            site_rules=tuple(spawner.diagnosis_rules),
            on_error=partial(log_broken_rule, spawner.log),
        ),
    )


def requested(started: datetime) -> Diagnosis:
    """Return the diagnosis of a start that has only begun."""
    return diagnose(Observation(pod=None, claim=None, events=(), now=utcnow(), started=started))


async def until_synced(attempt: Attempt, informer: Informer) -> None:
    """Return once the informer has listed its view; meanwhile the user reads what the start waits for."""
    await informer.start()

    def look() -> bool | Diagnosis:
        if informer.refusal is not None:
            raise refused(attempt, informer.refusal, VIEW, str(informer))
        if informer.is_synced:
            return True
        return _waiting_for_cluster(informer.failure) if informer.failure else requested(attempt.started)

    await watch_until(attempt, look)


def subscribe(feed: EventSubscription | None, resource: Resource, key: Key) -> None:
    """Get the events of an object from now on, if the spawner watches events."""
    if feed is not None:
        feed.add(Involved(resource.kind, key))


async def ensure_claim(
    attempt: Attempt,
    choose: Callable[[ClaimLookup], HomeChoice],
    manifest: Callable[[str], Raw],
    feed: EventSubscription | None,
    volume: str = "",
) -> Raw:
    """Return the claim that ``choose`` finds; create it from ``manifest(name)`` if there is none.

    ``volume`` is the name of an extra claim, "" for the home. If an earlier start gave up the create of this claim, this
    one uses its name, even if its user was renamed since: the API server may still carry out the other create.
    Subscribes to the claim's events before it creates the claim. Kubernetes reports a missing storage class,
    for example, at once and then not again for a long time.
    """
    late, purpose = attempt.cluster.late_claims, (*_owner_of(attempt.identity), volume)
    while True:
        choice = choose(attempt.cluster.claims.view)
        match choice:
            case Refuse():
                raise SpawnFailed(volume_refused(choice.message, choice.detail))
            case UseExisting(claim=claim) if is_dying(claim):
                await _until_claim_gone(attempt, claim)
            case UseExisting(claim=claim):
                subscribe(feed, CLAIMS, key_of(claim))
                if feed is not None and phase_of(claim) == "Pending":
                    await feed.backfill()
                return claim
            case Create(name=name, missing=missing):
                if missing is not None and await _is_out_of_sight(attempt, attempt.key(missing)):
                    continue
                key = late.key_for(purpose) or attempt.key(name)
                body = manifest(key.name)
                try:
                    created = await _create_claim(attempt, body, feed)
                except asyncio.CancelledError:
                    late.add(purpose, key)
                    raise
                late.settle(purpose)
                created = created or _named_by_a_subclass(attempt, body, key)
                if created is not None:
                    return created
            case _:
                assert_never(choice)


def _owner_of(identity: ServerIdentity) -> tuple[str, str | int, str]:
    """Return what identifies a server beyond renames of its user."""
    user = identity.username if identity.user_id is None else identity.user_id.number
    return (identity.namespace, user, identity.servername)


async def _is_out_of_sight(attempt: Attempt, claim: Key) -> bool:
    """Return True after a claim that the view lacked was waited for: choose again; False if it lacks none."""
    # The view may show one that was refused: it has become another volume.
    is_seen = attempt.cluster.claims.view.get(claim) is not None
    if is_seen or await _get(attempt, CLAIMS, claim) is None:
        return False
    attempt.cluster.claims.reopen(f"it lacked {claim}")
    await _until_seen(attempt, claim)
    return True


async def _until_seen(attempt: Attempt, claim: Key) -> None:
    """Return once the view shows the claim, or after `CLAIM_SEEN`: it may have appeared and gone between two looks."""
    deadline = asyncio.get_running_loop().time() + CLAIM_SEEN
    with suppress(TimeoutError):
        await attempt.cluster.claims.wait_for(claim, lambda kept: kept is not None, deadline=deadline)


async def make_room(attempt: Attempt, name: str) -> None:
    """Remove older pods of this server that the view shows; return when they are gone."""
    key = attempt.key(name)
    await _clear_earlier_names(attempt, key)
    while (existing := attempt.cluster.pods.view.get(key)) is not None:
        if relation(existing, attempt.identity, attempt.attempt_id) not in {Relation.OLDER, Relation.DYING}:
            return
        await _clear_away(attempt, existing)


async def _clear_earlier_names(attempt: Attempt, key: Key) -> None:
    """Remove this server's pods with other names, from before a rename of its user; return when they are gone."""
    identity = attempt.identity
    if identity.user_id is None:
        return
    for pod in tuple(attempt.cluster.pods.view.find(owner(identity.user_id.number, identity.servername))):
        # Another hub of this namespace may have a user of this name, but never one of this id.
        if key_of(pod) != key and has_user_id(pod, identity) and is_ours(pod, identity):
            await _clear_away(attempt, pod)


async def create_pod(attempt: Attempt, manifest: Raw) -> Raw:
    """Return the pod of this attempt; delete older pods of this server, and leave another's untouched."""
    await _clear_earlier_names(attempt, attempt.key(key_of(manifest).name))
    return await create_or_find(
        attempt,
        PODS,
        attempt.marked(manifest),
        make_room=partial(_clear_away, attempt),
        foreign=partial(foreign_object, kind=PODS.kind),
        on_forbidden=partial(_until_set_up, attempt, attempt.key(key_of(manifest).name)),
    )


async def create_or_find(
    attempt: Attempt,
    resource: Resource,
    body: Raw,
    *,
    make_room: Callable[[Raw], Awaitable[object]],
    foreign: Callable[[Raw], Diagnosis],
    on_forbidden: Callable[[Forbidden], Awaitable[object]] | None = None,
) -> Raw:
    """Return the object of this attempt (``body`` has its id): a new one, or one from a create that lost its reply.

    Passes an older object of this server to ``make_room``. Leaves another owner's object untouched and fails the
    start. Retries the create each time ``on_forbidden`` returns.
    """
    key = attempt.key(key_of(body).name)
    while True:
        try:
            return await attempt.asking(lambda: attempt.create(resource, key.namespace, body))
        except Conflict:
            existing = await _get(attempt, resource, key)
        except KubeError as error:
            if on_forbidden is None or not isinstance(error, Forbidden):
                raise refused(attempt, error, resource.kind, key.name) from error
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
            case Relation.OLDER | Relation.DYING:
                await make_room(existing)


async def _until_set_up(attempt: Attempt, pod: Key, refusal: Forbidden) -> None:
    """Pause if the refusal only means that the namespace is new; else fail the start."""
    lasting = utcnow() - attempt.started
    is_new = is_account_missing_yet(_refusal(refusal, "Pod", pod.name))
    if not is_new or lasting >= GracePeriods().missing_object:
        raise refused(attempt, refusal, "Pod", pod.name) from refusal
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
    feed: EventSubscription | None,
    created_secrets: Collection[str] = (),
) -> Raw:
    """Return the kept part of the pod once it is ready for its user; fail as soon as waiting cannot help."""
    look = _looking_at(attempt, pod, claims, feed, created_secrets)
    while True:
        try:
            serving = await watch_until(attempt, look, pod=key_of(pod), claims=claims, feed=feed)
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
        found = await _get(attempt, PODS, key)
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
    async with attempt.cluster.following() as feed:
        subscribe(feed, PODS, key_of(pod))
        if feed is not None:
            await feed.backfill()
        return await until_serving(attempt, pod, (), feed)


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
                if not await _wait_for(wakeup, min(LOOK_AGAIN, seconds - waited)):
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
    feed: EventSubscription | None,
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
        events = () if feed is None else feed.events()
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


async def watch_until(
    attempt: Attempt,
    look: Callable[[], T | Diagnosis],
    *,
    pod: Key | None = None,
    claims: Sequence[Key] = (),
    feed: EventSubscription | None = None,
) -> T:
    """Look now and after every change: emit each diagnosis, and return the first result that is not one."""
    wakeup = asyncio.Event()
    with ExitStack() as stack:
        stack.enter_context(attempt.cluster.pods.subscribe(*filter(None, [pod]), wakeup=wakeup))
        stack.enter_context(attempt.cluster.claims.subscribe(*claims, wakeup=wakeup))
        if feed is not None:
            stack.enter_context(feed.notifying(wakeup))
        while True:
            wakeup.clear()
            seen = look()
            if not isinstance(seen, Diagnosis):
                return seen
            if seen.fatal:
                raise SpawnFailed(seen)
            attempt.emit(_trouble_of_views(attempt, claims) or seen)
            if not await _wait_for(wakeup, LOOK_AGAIN):
                await attempt.cluster.check_watches(pod, *claims)


def _trouble_of_views(attempt: Attempt, claims: Sequence[Key]) -> Diagnosis | None:
    """Return why the views are stale, None if they are not; raise if waiting cannot help."""
    cluster = attempt.cluster
    for informer in (cluster.pods, *([cluster.claims] if claims else [])):
        if informer.refusal is not None:
            # For a while, `k8s_hub.kube.api` takes a refusal of what was allowed before for a transient one. So
            # this request was never allowed, or no longer is.
            raise refused(attempt, informer.refusal, VIEW, str(informer))
    return _waiting_for_cluster(cluster.pods.failure) if cluster.pods.failure else None


def _is_about(event: Raw, uid: str) -> bool:
    """Tell whether an event is about the pod; some controllers omit the uid."""
    involved = event.get("involvedObject") or {}
    return involved.get("kind") == PODS.kind and involved.get("uid") in {uid, None}


async def _wait_for(wakeup: asyncio.Event, seconds: float) -> bool:
    """Return True at news, False after ``seconds`` without any."""
    try:
        async with asyncio.timeout(seconds):
            return await wakeup.wait()
    except TimeoutError:
        return False


async def _create_claim(attempt: Attempt, manifest: Raw, feed: EventSubscription | None) -> Raw | None:
    """Return the new claim; None if the name is taken: the view shows that claim now, unless it has gone since."""
    key = attempt.key(key_of(manifest).name)
    body = with_user_id(manifest, attempt.identity.user_id)
    subscribe(feed, CLAIMS, key)
    try:
        return await attempt.asking(lambda: attempt.cluster.api.create(CLAIMS, key.namespace, body))
    except Conflict:
        await _until_seen(attempt, key)
        return None
    except Forbidden as error:
        # With a full quota, the API server also refuses a claim that already exists.
        if await _get(attempt, CLAIMS, key) is None:
            raise refused(attempt, error, CLAIMS.kind, key.name, volume_in_words(manifest)) from error
        await _until_seen(attempt, key)
        return None
    except KubeError as error:
        raise refused(attempt, error, CLAIMS.kind, key.name, volume_in_words(manifest)) from error


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


async def _clear_away(attempt: Attempt, pod: Raw) -> None:
    """Delete an earlier pod of this server, unless it is already being deleted; return when it is gone."""
    if not is_dying(pod):
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


async def delete(attempt: Attempt, resource: Resource, obj: Raw, *, grace_seconds: int | None = None) -> None:
    """Delete this object, but no later one with its name; it may already be gone."""
    with refusals(attempt, resource.kind, key_of(obj).name):
        await attempt.asking(lambda: attempt.cluster.delete(resource, obj, grace_seconds=grace_seconds))


async def _get(attempt: Attempt, resource: Resource, key: Key) -> Raw | None:
    with refusals(attempt, resource.kind, key.name):
        try:
            return await attempt.asking(lambda: attempt.cluster.api.get(resource, key))
        except NotFound:
            return None


def _waiting_for_cluster(error: KubeError) -> Diagnosis:
    """Say whether the cluster is silent, only busy, or has a broken webhook."""
    if is_webhook_broken(_refusal(error, kind="", name="")):
        return webhook_broken(str(error))
    return cluster_busy(str(error)) if error.code else cluster_silent(str(error))


def refused(attempt: Attempt, error: KubeError, kind: str, name: str, thing: str = "") -> SpawnFailed:
    """Return the failure of a start after the API server refused a request about this object."""
    seen = Observation(
        pod=None,
        claim=None,
        events=(),
        now=utcnow(),
        started=attempt.started,
        refusal=_refusal(error, kind, name, thing),
    )
    return SpawnFailed(attempt.diagnose(seen))


@contextmanager
def refusals(attempt: Attempt, kind: str, name: str) -> Iterator[None]:
    """Raise an API error from the body as the failure of the start."""
    try:
        yield
    except KubeError as error:
        raise refused(attempt, error, kind, name) from error


def _refusal(error: KubeError, kind: str, name: str, thing: str = "") -> Refusal:
    status = error.status or {"message": error.message, "code": error.code, "reason": error.reason}
    return Refusal.of(status, kind, name, thing)
