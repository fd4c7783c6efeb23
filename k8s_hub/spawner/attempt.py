"""One start of one server: its requests, its waits and its failures, which all its steps share."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.diagnosis import Diagnosis, at_deadline, redacted
from k8s_hub.diagnosis.observation import Observation
from k8s_hub.diagnosis.obstacles import cluster_busy, cluster_silent, webhook_broken
from k8s_hub.diagnosis.refusals import VIEW, Refusal, is_webhook_broken
from k8s_hub.diagnosis.rules import diagnose
from k8s_hub.kube.core.errors import KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import PODS, Resource
from k8s_hub.kube.event_subscription import EventSubscription, Involved
from k8s_hub.kube.informer import RECHECK_INTERVAL, Informer
from k8s_hub.naming.ownership import ServerIdentity, with_attempt_id, with_user_id
from k8s_hub.objects.keys import Key, key_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.spawner.cluster import Cluster
from k8s_hub.spawner.failures import SpawnFailed
from k8s_hub.spawner.progress import Progress
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
    subscription: EventSubscription | None = None
    #: True once a form has shown how the last server ended.
    has_shown_end: bool = False
    #: Values of the starting pod that no message and no log may contain.
    secrets: frozenset[str] = frozenset()
    #: The user's last rejected choice, which the form shows again.
    rejected_options: Raw | None = None

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
        heard = () if self.subscription is None else self.subscription.events()
        return [event for event in heard if (event.get("involvedObject") or {}).get("kind") == PODS.kind]


T = TypeVar("T")

UNTIL_DEADLINE = RetryPolicy(deadline=math.inf)
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

        return await retrying(UNTIL_DEADLINE, call, on=Unavailable, on_wait=on_wait)

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
            raise start_failure(attempt, informer.refusal, VIEW, str(informer))
        if informer.is_synced:
            return True
        return _waiting_for_cluster(informer.failure) if informer.failure else requested(attempt.started)

    await watch_until(attempt, look)


async def watch_until(
    attempt: Attempt,
    look: Callable[[], T | Diagnosis],
    *,
    pod: Key | None = None,
    claims: Sequence[Key] = (),
    subscription: EventSubscription | None = None,
) -> T:
    """Look now and after every change: emit each diagnosis, and return the first result that is not one.

    Looks again after `RECHECK_INTERVAL` without news, because grace periods run out.
    """
    wakeup = asyncio.Event()
    with ExitStack() as stack:
        stack.enter_context(attempt.cluster.pods.subscribe(*filter(None, [pod]), wakeup=wakeup))
        stack.enter_context(attempt.cluster.claims.subscribe(*claims, wakeup=wakeup))
        if subscription is not None:
            stack.enter_context(subscription.notifying(wakeup))
        while True:
            wakeup.clear()
            seen = look()
            if not isinstance(seen, Diagnosis):
                return seen
            if seen.fatal:
                raise SpawnFailed(seen)
            attempt.emit(_trouble_of_views(attempt, claims) or seen)
            if not await wait_for(wakeup, RECHECK_INTERVAL):
                await attempt.cluster.check_watches(pod, *claims)


def _trouble_of_views(attempt: Attempt, claims: Sequence[Key]) -> Diagnosis | None:
    """Return why the views are stale, None if they are not; raise if waiting cannot help."""
    cluster = attempt.cluster
    for informer in (cluster.pods, *([cluster.claims] if claims else [])):
        if informer.refusal is not None:
            # For a while, `k8s_hub.kube.api` takes a refusal of what was allowed before for a transient one. So
            # this request was never allowed, or no longer is.
            raise start_failure(attempt, informer.refusal, VIEW, str(informer))
    return _waiting_for_cluster(cluster.pods.failure) if cluster.pods.failure else None


async def wait_for(wakeup: asyncio.Event, seconds: float) -> bool:
    """Return True at news, False after ``seconds`` without any."""
    try:
        async with asyncio.timeout(seconds):
            return await wakeup.wait()
    except TimeoutError:
        return False


def subscribe(subscription: EventSubscription | None, resource: Resource, key: Key) -> None:
    """Get the events of an object from now on, if the spawner watches events."""
    if subscription is not None:
        subscription.add(Involved(resource.kind, key))


async def get(attempt: Attempt, resource: Resource, key: Key) -> Raw | None:
    """Return an object, None if there is none."""
    with as_start_failures(attempt, resource.kind, key.name):
        try:
            return await attempt.asking(lambda: attempt.cluster.api.get(resource, key))
        except NotFound:
            return None


async def delete(attempt: Attempt, resource: Resource, obj: Raw, *, grace_seconds: int | None = None) -> None:
    """Delete this object, but no later one with its name; it may already be gone."""
    with as_start_failures(attempt, resource.kind, key_of(obj).name):
        await attempt.asking(lambda: attempt.cluster.delete(resource, obj, grace_seconds=grace_seconds))


def start_failure(attempt: Attempt, error: KubeError, kind: str, name: str, thing: str = "") -> SpawnFailed:
    """Return the failure of a start after the API server refused a request about this object."""
    seen = Observation(
        pod=None,
        claim=None,
        events=(),
        now=utcnow(),
        started=attempt.started,
        refusal=refusal_of(error, kind, name, thing),
    )
    return SpawnFailed(attempt.diagnose(seen))


@contextmanager
def as_start_failures(attempt: Attempt, kind: str, name: str) -> Iterator[None]:
    """Raise an API error from the body as the failure of the start."""
    try:
        yield
    except KubeError as error:
        raise start_failure(attempt, error, kind, name) from error


def refusal_of(error: KubeError, kind: str, name: str, thing: str = "") -> Refusal:
    """Return what an API error says of the object that the request was about."""
    status = error.status or {"message": error.message, "code": error.code, "reason": error.reason}
    return Refusal.of(status, kind, name, thing)


def _waiting_for_cluster(error: KubeError) -> Diagnosis:
    """Say whether the cluster is silent, only busy, or has a broken webhook."""
    if is_webhook_broken(refusal_of(error, kind="", name="")):
        return webhook_broken(str(error))
    return cluster_busy(str(error)) if error.code else cluster_silent(str(error))
