"""KubeSpawner, the class that JupyterHub calls. docs/lifecycle.md lists what each call returns and when."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property, partial, wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, assert_never

from jupyterhub.spawner import Spawner
from jupyterhub.utils import maybe_future
from tornado.web import HTTPError
from traitlets import default

from k8s_hub.claims.extra import parse_extra_claims
from k8s_hub.claims.home import HomeName
from k8s_hub.claims.saved_state import SavedState
from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.obstacles import foreign_namespace, no_cluster
from k8s_hub.diagnosis.pod_life import end_in_words
from k8s_hub.kube import library
from k8s_hub.kube.core.errors import ConfigurationError, KubeError
from k8s_hub.kube.core.resources import PODS, SECRETS
from k8s_hub.kube.pool import InformerPool
from k8s_hub.naming import slugs
from k8s_hub.naming.ownership import attempt_id_of
from k8s_hub.naming.templates import Scope, SettingError, scope_of
from k8s_hub.objects.keys import Key, is_terminating, key_of, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy
from k8s_hub.spawner import last_end, lifecycle, placement, preflight, security, storage
from k8s_hub.spawner.address import host_in_row, url_in_row
from k8s_hub.spawner.attempt import (
    Attempt,
    LatestRun,
    as_start_failures,
    begin,
    requested,
    subscribe,
    until_synced,
)
from k8s_hub.spawner.cluster import Cluster, Views, connection_settings
from k8s_hub.spawner.compat.removed_names import RemovedNames
from k8s_hub.spawner.database import HubDatabase, renewed_access_token
from k8s_hub.spawner.events import shown
from k8s_hub.spawner.failures import (
    SpawnFailed,
    administrators_code,
    failure_of,
)
from k8s_hub.spawner.hub_tasks import start_hub_tasks, start_hub_tasks_soon
from k8s_hub.spawner.lifecycle import Life, Starting
from k8s_hub.spawner.manifest_builder import ManifestBuilder
from k8s_hub.spawner.namespaces import ensure_namespace, may_use
from k8s_hub.spawner.overridable import Overridable
from k8s_hub.spawner.owned_objects import create_owned_objects
from k8s_hub.spawner.poll import (
    EndNotifier,
    NoPod,
    PodAlive,
    PodEnded,
    PollInterval,
    Unchanged,
    end_without_pod,
    look,
)
from k8s_hub.spawner.readiness import Probe
from k8s_hub.spawner.remembered import Remembered
from k8s_hub.spawner.run_log import RunLog, log_with
from k8s_hub.spawner.server_url import known_url, sync_address, url_of, whole_pod
from k8s_hub.spawner.spawn_outcome import SpawnOutcome
from k8s_hub.spawner.spec import OwnPod, ServerSpec, identity_of
from k8s_hub.spawner.start import create_pod, until_answering, until_ready_after_restart, until_serving
from k8s_hub.spawner.start_queue import StartLimits, queue_for
from k8s_hub.spawner.stop import PodDeletion, delete_later
from k8s_hub.spawner.user_choices import options_for_hub

if TYPE_CHECKING:
    from k8s_hub.kube.core.store import Entry
    from k8s_hub.kube.event_subscription import EventSubscription
    from k8s_hub.spawner.adoption import LostServer

DEADLINE_MARGIN = 2.0
DEADLINE_MARGIN_SHARE = 0.05
"""start() gives up with a reason this many seconds before the hub's deadline, or this share of a short one."""


def _before_deadline(timeout: float) -> float:
    return timeout - min(DEADLINE_MARGIN, timeout * DEADLINE_MARGIN_SHARE)


def _supervised_start(start: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Wrap a start so that it raises what `failure_of` makes of each exception."""

    @wraps(start)
    async def supervised(self: "KubeSpawner", *args: Any, **kwargs: Any) -> Any:
        with self._supervised():
            url = start(self, *args, **kwargs)
            return await url if isawaitable(url) else url

    supervised.__dict__["is_supervised"] = True
    return supervised


class KubeSpawner(Overridable, RemovedNames, Spawner):  # type: ignore[misc] # JupyterHub has no types
    """Spawns each of a user's servers as one pod with one retained claim."""

    #: The traits of this very class, no base class, that the configuration may set.
    _configurable: ClassVar[dict[str, Any]]

    def __init_subclass__(cls) -> None:
        """Supervise a subclass's own start() too, with its code around super().start()."""
        super().__init_subclass__()
        if not hasattr(cls.start, "is_supervised"):
            cls.start = _supervised_start(cls.start)  # type: ignore[method-assign]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        log_with(self.log)
        #: Takes the configured namespace, before a hook, a profile or a saved state changes it. The spawner
        #: always watches this namespace, because all users share it.
        self._views = Views(self.namespace)
        library.set_default(connection_settings(self))
        self._life: Life = lifecycle.Unknown()
        self._run = LatestRun(RunLog(self.log))
        self._outcome = SpawnOutcome(self)
        self._end_notifier = EndNotifier(self)
        #: The running pod that the next start adopts; None: the start creates a pod.
        self._lost: LostServer | None = None
        self.observe(self._outcome.note_handler, "handler")
        #: The uid of this server's pod; "" before its first pod. Subclasses and hooks may read it.
        self.pod_id = ""
        #: The names of the extra claims that this server used last, by the administrator's names for them.
        self.extra_claim_names: dict[str, str] = {}
        if self.user is not None:
            if self.enable_user_namespaces:
                self.namespace = slugs.namespace(self._resolver.name_by("user_namespace_template"))
            self._name_objects()
            self._remembered = Remembered(
                HomeName(
                    template=self.pvc_name_template, template_name=self._resolver.name_by("pvc_name_template")
                )
            )
        if self.security_profile:
            options = {name: getattr(self, name) for name in security.DECISIVE}
            security.refuse_contradictions(self.security_profile, options)
        if self.user is not None:
            is_made = type(self).__init__ is KubeSpawner.__init__
            preflight.log_unusable(self._resolver, security.Protection.of(self), is_made=is_made)
            start_hub_tasks_soon(self)

    def traits(self, **metadata: Any) -> dict[str, Any]:
        """Return the traits, as traitlets does, but look for the configurable ones once per class, not per spawner."""
        if metadata != {"config": True}:
            found: dict[str, Any] = super().traits(**metadata)
            return found
        cls = type(self)
        if "_configurable" not in vars(cls):
            cls._configurable = cls.class_traits(config=True)
        return dict(cls._configurable)

    # --- Cluster ---

    @cached_property
    def api(self) -> Any:
        """A ``kubernetes_asyncio.client.CoreV1Api`` of the configured cluster, for hooks and subclasses.

        ``api.api_client`` serves the library's other API classes.
        """
        return library.core_v1(InformerPool.for_current_loop().library(connection_settings(self)))

    async def _connect(self) -> Cluster:
        cluster = await self._views.join(self, with_claims=storage.needs_claims(self))
        await start_hub_tasks(self, cluster)
        return cluster

    @property
    def _own_pod(self) -> OwnPod:
        return OwnPod(
            server=identity_of(self),
            key=Key(self.namespace, self.pod_name),
            uid=self.pod_id,
            attempt_id=lifecycle.attempt_of(self._life),
        )

    @property
    def _manifests(self) -> ManifestBuilder:
        return ManifestBuilder(
            spawner=self, resolver=self._resolver, remembered=self._remembered, port_of=self._get_pod_port
        )

    def _spec(self) -> ServerSpec:
        return ServerSpec.of(self, self._remembered.home)

    # --- Names and saved state ---

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over the names of a server that an earlier run, of any version, started."""
        super().load_state(state)
        saved = SavedState.load(state)
        self.pod_name = saved.pod_name or self.pod_name
        self.pod_id = saved.pod_uid or self.pod_id
        if saved.namespace:
            self.namespace = saved.namespace
        self.dns_name = saved.dns_name or self.dns_name
        self._remembered.load(saved, with_home=self.remember_pvc_name)
        if self.remember_pvc_name:
            self.extra_claim_names = dict(saved.extra_claims)

    def get_state(self) -> dict[str, Any]:
        """Return the names: a later run then finds the pod and the claim even if the configuration changed."""
        saved = self._remembered.state(
            pod_name=self.pod_name,
            pod_uid=self.pod_id,
            namespace=self._remembered.namespace if self.enable_user_namespaces else self.namespace,
            dns_name=self.dns_name,
            extra_claims=self.extra_claim_names,
            url=url_in_row(self.server),
        )
        return {**super().get_state(), **saved.dump()}

    def clear_state(self) -> None:
        """Forget the pod; the server keeps its claim."""
        super().clear_state()
        try:
            self._name_objects()
        except SettingError as error:
            # A stop ends with this call. Keep the names; the next spawner starts from the configured templates.
            self.log.warning("%s: cannot renew the names: %s", self._log_name, error)
        self.pod_id = ""
        self._start_future = None
        self._remembered.forget_run()
        self._life = lifecycle.cleared(self._life)
        self._run.log = RunLog(self.log)
        # The hub clears the state before it prepares a start, when browser tabs already listen.
        self._run.forget_progress()

    # --- Failures of a start, and the hub's count of them ---

    @contextmanager
    def _supervised(self) -> Iterator[None]:
        """Raise what `failure_of` makes of an exception from the body."""
        try:
            yield
        except Exception as error:
            failure = failure_of(error, self, self._run.secrets | security.secrets_configured_for(self))
            if failure is error:
                raise
            # The causes quote the cluster, and JupyterHub 5 would log them with their traceback.
            raise failure from None

    @property
    def _spawn_future(self) -> "asyncio.Future[Any] | None":
        """The current spawn, or the last one if it failed. JupyterHub sets it."""
        return self._outcome.spawn

    @_spawn_future.setter
    def _spawn_future(self, spawn: "asyncio.Future[Any] | None") -> None:
        if spawn is None:
            self._outcome.clear()
        else:
            # The hub sets this before it adds its callbacks, so ours runs before the one that counts failures.
            self._outcome.follow(spawn, is_counted=self._lost is None)

    async def run_auth_state_hook(self, auth_state: Any) -> None:
        """Run an administrator's hook; JupyterHub also calls this for the form."""
        with self._supervised(), administrators_code("KubeSpawner.auth_state_hook"):
            await super().run_auth_state_hook(auth_state)

    async def get_options_form(self) -> Any:
        """Return the form; report an exception of an administrator's code like a failed start."""
        with self._supervised(), administrators_code("KubeSpawner.options_form"):
            form = await super().get_options_form()
        self._run.has_shown_end = bool(form)
        return last_end.above_form(form, self._remembered.last_end)

    async def apply_group_overrides(self) -> None:
        """Apply the administrator's overrides for the user's groups."""
        with self._supervised(), administrators_code("KubeSpawner.group_overrides"):
            await super().apply_group_overrides()

    async def _run_apply_user_options(self, user_options: dict[str, Any]) -> None:
        with (
            self._supervised(),
            administrators_code("KubeSpawner.apply_user_options"),
            security.protected(self),
        ):
            await super()._run_apply_user_options(options_for_hub(self, user_options))

    def run_pre_spawn_hook(self) -> Awaitable[Any] | None:
        """Wait in the queue for starts, then run an administrator's hook; return None if there is nothing to await.

        JupyterHub's `start_timeout` begins after this call.
        """
        limits = StartLimits(concurrent_starts=self.concurrent_starts, start_rate=self.start_rate)
        if self._lost or not limits or not (start := asyncio.current_task()):
            return self._run_hook()
        place = queue_for(limits).join(self.user.name, start)
        if place.may_begin.done():
            return self._run_hook()
        self._run.progress.queue(place)
        ahead, _ = place.queue.outlook(place)
        self.log.info("%s: waits in the queue for starts, as number %d", self._log_name, ahead + 1)

        async def in_turn() -> None:
            await place.may_begin
            hook = self._run_hook()
            if hook is not None:
                await hook

        return in_turn()

    def _run_hook(self) -> Awaitable[Any] | None:
        with self._supervised(), administrators_code("KubeSpawner.pre_spawn_hook"):
            result = super().run_pre_spawn_hook()

        async def rest(hook: Awaitable[Any]) -> None:
            with self._supervised(), administrators_code("KubeSpawner.pre_spawn_hook"):
                await hook

        return rest(result) if isawaitable(result) else None

    async def create_certs(self) -> dict[str, str]:
        """Return the paths of the new key, certificate and authority of this server, for ``internal_ssl``."""
        with self._supervised():
            return await super().create_certs()

    # --- Start ---

    @_supervised_start
    async def start(self) -> str:
        """Return the URL of the running server; fail with a reason before the hub's own deadline.

        Safe to cancel at any point and to repeat: the next stop or start finds everything that was created.
        """
        self._run.forget_progress()
        self._start_future = asyncio.current_task()
        self._life = lifecycle.start_begun(self._life)
        lost = self._lost
        try:
            url = await self._start()
        except BaseException:
            self._life = lifecycle.start_failed(self._life)
            raise
        finally:
            self._run.progress.end()
        self._life = lifecycle.start_succeeded()
        self._remembered.last_end = None
        if lost is not None:
            self.api_token = lost.token  # the hub takes it for the server's token from now on
        if self.save_access_token:
            # This never awaits, so no cancellation can come in between.
            self._remembered.renew_token(renewed_access_token(self, self._log_name))
        return url

    async def _start(self) -> str:
        """Return the URL once the new server answers there; else fail with a reason before the hub's deadline.

        `start` calls this; subclasses may override either.
        """
        started = utcnow()
        begun, seconds = asyncio.get_running_loop().time(), self.start_timeout
        limit = asyncio.timeout_at(begun + _before_deadline(seconds))
        url = ""
        try:
            async with limit:
                # Before the first request to the cluster, only an administrator's function can take long.
                self._run.emit(self._log_name, requested(started))
                if self._lost is None:
                    with security.protected(self):
                        await self.load_user_options()
                # The hub already waits when a profile sets start_timeout: the profile can only shorten it.
                seconds = min(seconds, self.start_timeout)
                limit.reschedule(begun + _before_deadline(seconds))
                attempt = await self._attempt(started)
                with as_start_failures(attempt, PODS.kind, self.pod_name):
                    lost, self._lost = self._lost, None
                    pod = await (self._launch(attempt) if lost is None else self._adopt(attempt, lost))
                    whole = await attempt.asking(partial(whole_pod, self, attempt.cluster, pod))
                url = url_of(self, whole)
                probe = Probe.by(self, url)
                await until_answering(attempt, pod, probe, seconds=self.http_timeout)
        except TimeoutError:
            if not limit.expired():
                raise
            # With a URL, the pod started in time. The hub then waits for the server's answer for `http_timeout`,
            # which may end after this deadline.
            if not url:
                raise SpawnFailed(self._run.at_deadline(seconds)) from None
        return url

    async def _launch(self, attempt: Attempt) -> Raw:
        """Create the claims, the pod and the objects it owns; return the kept part of the pod once it runs."""
        self._settle_dns_name()
        existing = None
        if self.enable_user_namespaces:
            existing = await ensure_namespace(attempt, self._manifests.namespace())
        await until_synced(attempt, attempt.cluster.pods)
        if storage.needs_claims(self):
            await until_synced(attempt, attempt.cluster.claims)
        is_known = self.user_namespace_allow_existing or self._remembered.namespace == self.namespace
        if not (is_known or may_use(existing, attempt, HubDatabase.of(self))):
            raise SpawnFailed(foreign_namespace(self.namespace))
        self._remembered.use_namespace(self.namespace)
        self._life = lifecycle.create_begun(attempt.attempt_id)
        self._remembered.last_start = attempt.attempt_id
        async with attempt.cluster.following() as subscription:
            self._run.subscription = subscription
            claims = await self._ensure_claims(attempt, subscription)
            manifest = await self._manifests.pod()
            self.pod_name = key_of(manifest).name
            attempt.cluster.pending_deletes.withdraw_matching(self._own_pod.key)
            subscribe(subscription, PODS, self._own_pod.key)
            self._run.secrets = security.secrets_in(manifest, self)
            secure = security.secured(manifest, security.Protection.of(self), self.api_token)
            spec = self._spec()
            async with placement.placement_lock(spec, attempt, secure.pod, claims) as lock:
                placed = await placement.placed(spec, attempt, secure.pod, claims)
                pod = lock.created = await create_pod(attempt, placed)
            self.pod_id = uid_of(pod)
            attempt.cluster.pods.listen(key_of(pod), self._end_notifier)
            owned = [*self._manifests.owned_objects(pod), *self._resolver.environment_secret(secure.content)]
            await create_owned_objects(attempt, pod, owned)
            if self.after_pod_created_hook is not None:
                with administrators_code("KubeSpawner.after_pod_created_hook"):
                    await maybe_future(self.after_pod_created_hook(self, pod))
            secrets = {key_of(each.manifest).name for each in owned if each.resource is SECRETS}
            serving = await until_serving(
                attempt, pod, [key_of(claim) for claim in claims], subscription, secrets
            )
        self.log.info("%s: the pod runs on %s", key_of(serving), serving["spec"].get("nodeName"))
        return serving

    async def _adopt(self, attempt: Attempt, lost: "LostServer") -> Raw:
        """Return the kept part of a lost server's pod once it serves. From now on a stop removes the pod."""
        self._life = lifecycle.create_begun(lost.attempt_id)
        self._remembered.last_start = lost.attempt_id
        self.pod_name, self.pod_id = key_of(lost.pod).name, uid_of(lost.pod)
        self._run.secrets = security.secrets_in(lost.pod, self) | {lost.token}
        attempt.cluster.pods.listen(key_of(lost.pod), self._end_notifier)
        return await until_ready_after_restart(attempt, lost.pod)

    async def _attempt(self, started: datetime) -> Attempt:
        try:
            cluster = await self._connect()
        except ConfigurationError as error:
            raise SpawnFailed(no_cluster(str(error))) from error
        return begin(self, cluster, self._run, started)

    async def _ensure_claims(self, attempt: Attempt, subscription: "EventSubscription | None") -> list[Raw]:
        """Return this server's claims, home first; create those that are missing."""
        claims = []
        if self.storage_pvc_ensure:
            home = await storage.ensure_home(
                attempt, self._spec(), HubDatabase.of(self), self._manifests.home_claim, subscription
            )
            self._remembered.find_home(key_of(home).name)
            await storage.grow(attempt, home, self.storage_capacity if self.storage_grow else None)
            claims.append(home)
        for extra in parse_extra_claims(self.extra_claims):
            claim = await storage.ensure_extra_claim(
                attempt,
                self._spec(),
                extra,
                HubDatabase.of(self),
                resolver=self._resolver,
                subscription=subscription,
            )
            self.extra_claim_names = {**self.extra_claim_names, extra.name: key_of(claim).name}
            await storage.grow(attempt, claim, extra.capacity if self.storage_grow else None)
            claims.append(claim)
        return claims

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what the user reads while the server starts; every browser tab gets all of it."""
        updates = self._run.progress.listen(
            remind_after=self.slow_spawn_message_threshold,
            remind_every=self.slow_spawn_message_frequency,
        )
        end = None if self._run.has_shown_end else self._remembered.last_end
        async for item in last_end.before_progress(end, shown(self, updates)):
            yield item

    @property
    def events(self) -> list[Raw]:
        """The events about the pod since the start began, latest last; for subclasses and hooks."""
        return self._run.events()

    # --- Poll ---

    async def poll(self) -> int | None:
        """Return None while the server runs, may run or may still come to run; else its exit code.

        Never raises and never guesses: the hub forgets a server when poll() returns a code. Returns None if the
        state is unknown, whatever the cause. Removes an ended pod in the background, because the hub does not
        call stop() for it.
        """
        code = None
        try:
            code = await self._exit_code()
            if code is not None and not isinstance(self._life, Starting):
                await self._views.leave(self)
        except Exception:  # noqa: BLE001 - log_poll_failure logs it
            self._run.log.log_poll_failure(self._log_name)
        return code

    async def _exit_code(self) -> int | None:
        if lifecycle.may_have_created(self._life):
            return None
        try:
            cluster = await self._connect()
            found = await look(
                cluster,
                self._own_pod,
                self._life,
                host_in_row(self.server),
                request_timeout=self.k8s_api_request_timeout,
            )
        except (KubeError, TimeoutError) as error:
            self.log.debug(
                "%s: the cluster does not say whether the server runs, so it counts as running: %s",
                self._log_name,
                error,
            )
            self._life = lifecycle.unanswered(self._life)
            return None
        match found:
            case NoPod():
                # Read the row again: a stop may have ended meanwhile, and then the hub has none for the server.
                code, how = end_without_pod(self._life, host_in_row(self.server))
                if how and self._run.log.log_end(logging.WARNING, self._own_pod.key, "Removed", how):
                    self._remembered.last_end = last_end.end_of_missing_pod(how)
                return code
            case PodEnded(pod=pod, end=end):
                level = logging.WARNING if end.code else logging.INFO
                if self._run.log.log_end(level, key_of(pod), end.reason, end_in_words(pod, end)):
                    self._remembered.last_end = last_end.end_of_pod(pod, end)
                # Somebody may be draining the node: another delete would cut the pod's grace period short.
                if self.delete_stopped_pods and not is_terminating(pod):
                    delete_later(cluster, pod, self.delete_grace_period, f"its server ended: {end.reason}")
                return end.code
            case PodAlive(pod=pod, entry=entry):
                await self._note_alive(cluster, pod, entry)
            case Unchanged():
                pass
            case _:
                assert_never(found)
        return None

    async def _note_alive(self, cluster: Cluster, pod: Raw, entry: "Entry | None") -> None:
        """Note that the server's pod was seen alive; None for ``entry``: the view does not show the pod."""
        self._run.log.log_trouble(pod, lifecycle.last_seen_alive(self._life))
        self._life = lifecycle.seen_alive(self._life, entry)
        self.pod_id = uid_of(pod)
        if self._remembered.last_start is None and self._lost is None:
            self._remembered.last_start = attempt_id_of(pod)
        cluster.pods.listen(key_of(pod), self._end_notifier)
        await sync_address(self, cluster, pod)

    async def poll_and_notify(self) -> int | None:
        """Poll, and tell the hub of an end, one call at a time (see `EndNotifier`)."""
        return await self._end_notifier.poll_and_notify(super().poll_and_notify)

    @default("poll_interval")
    def _default_poll_interval(self) -> PollInterval:
        return PollInterval.WATCHED if lifecycle.is_watched(self._life) else PollInterval.UNWATCHED

    def start_polling(self) -> None:
        """Begin to poll, rarely if the watch reports the server's end; the hub calls it after a start and a restart."""
        if isinstance(self.poll_interval, PollInterval):  # traitlets keeps the default of an earlier reading
            self.set_trait("poll_interval", self._default_poll_interval())
        super().start_polling()

    # --- Stop ---

    async def stop(self, now: bool = False) -> None:
        """Remove this server's pod and return when it is gone; the claim stays.

        Waits for at most `stop_timeout`. Keeps a delete that it cannot deliver, and retries it until it can.
        """
        if self._lost is not None:
            return  # its adoption failed before start() took the pod over: the pod stays as it was
        await self._run.creates.wait()
        uncertain = self._run.creates.uncertain_attempt
        try:
            cluster = await self._connect()
        except ConfigurationError as error:
            self.log.error("%s: cannot stop the server: %s", self._log_name, error)  # noqa: TRY400 - the message says all
            return
        deletion = PodDeletion(
            cluster=cluster,
            key=self._own_pod.key,
            is_own=self._own_pod.is_own,
            grace_seconds=0 if now else self.delete_grace_period,
            retry_seconds=self.k8s_api_request_retry_timeout,
            timeout=self.stop_timeout,
            uncertain_attempt=uncertain,
            owned_objects=self._manifests.owned_keys(),
        )
        await deletion.run(self._own_pod.all_in(cluster.pods.view))
        self._run.creates.settle(uncertain)
        self._life = lifecycle.stopped(self._life)
        await self._views.leave(self)

    async def delete_forever(self) -> None:
        """Delete the extra claims of a permanently removed server or user and, with `delete_pvc`, the home.

        Deletes a claim only if it certainly belongs to this server and to no other. Never raises: the hub
        forgets the server whatever happens here.
        """
        try:
            self._keep_starts()
        except Exception:
            self.log.exception("%s: the ids of its starts are not kept", self._log_name)
        policy = RetryPolicy(deadline=self.k8s_api_request_retry_timeout)
        self.extra_claim_names = {**self._remembered.extra_claims, **self.extra_claim_names}
        try:
            if self.extra_claim_names:
                cluster = await self._connect()
                await storage.delete_extra_claims(
                    cluster, self._spec(), HubDatabase.of(self), policy=policy, log=self.log
                )
            if self.delete_pvc and self.storage_pvc_ensure:
                name = self._remembered.home.remembered_name or await self._existing_home() or self.pvc_name
                cluster = await self._connect()
                starting = [
                    f"the start of {other._log_name}"  # noqa: SLF001 - as the hub's own log names it
                    for other in self.user.spawners.values()
                    if other is not self and other.active and getattr(other, "pvc_name", None) == name
                ]
                await storage.delete_home(
                    cluster,
                    self._spec(),
                    name,
                    HubDatabase.of(self),
                    starting=starting,
                    policy=policy,
                    log=self.log,
                )
        except (SpawnFailed, KubeError, TimeoutError) as error:
            self.log.warning(
                "%s: the claim is kept because the cluster did not confirm its deletion: %s",
                self._log_name,
                error,
            )
        except Exception:
            self.log.exception("%s: the claim is kept because its deletion failed", self._log_name)
        finally:
            await self._views.leave(self)

    def _keep_starts(self) -> None:
        """Keep the id of a removed named server's last start: its pod may outlive an undelivered stop, and is not lost."""
        last = self._remembered.starts[:1]
        if self.name and last:
            HubDatabase.of(self).keep_starts(last)
            default_server = self.user.spawners.get("")
            if isinstance(default_server, KubeSpawner):
                default_server._remembered.add_earlier_starts(last)  # noqa: SLF001 - the same class

    # --- Rename of a server (JupyterHub 6); for a user's rename, see claims/home.py ---

    async def rename(self, old_name: str, new_name: str) -> None:
        """Keep the home: annotations cannot be changed, so the saved state names the claim from now on.

        Refuses only if the files would stay behind, or if the cluster does not say whether there are any.
        """
        is_kept = self.remember_pvc_name and self._remembered.home.remembered_name is not None
        if not self.storage_pvc_ensure or is_kept:
            return
        try:
            home = await self._existing_home()
        except (SpawnFailed, TimeoutError) as error:
            self.log.warning(
                "%s: cannot rename the server: its home claim is not known: %s", self._log_name, error
            )
            raise HTTPError(
                503,
                f"The server {old_name!r} was not renamed to {new_name!r} because the cluster did not respond. "
                "Try again later.",
            ) from error
        finally:
            await self._views.leave(self)
        if home is None:
            return
        if not self.remember_pvc_name and scope_of(self._remembered.home.template) is Scope.SERVER:
            raise HTTPError(
                409,
                f"The server {old_name!r} was not renamed to {new_name!r} because its files would stay behind: "
                "KubeSpawner.remember_pvc_name is off. Contact your administrator.",
            )
        self._remembered.find_home(home)
        HubDatabase.of(self).save_state(self.get_state())

    async def _existing_home(self) -> str | None:
        """Return the name of this server's home; None if it has none.

        Raises SpawnFailed or TimeoutError if the cluster does not say.
        """
        async with asyncio.timeout(self.k8s_api_request_retry_timeout):
            attempt = await self._attempt(utcnow())
            await until_synced(attempt, attempt.cluster.claims)
        return storage.existing_home(attempt, self._spec(), HubDatabase.of(self))

    # --- Address ---

    async def get_url(self) -> str:
        """Return the server's URL after a restart of the hub: from the pod, else the one that the hub has.

        Waits for a pod that was still starting when the hub died.
        """
        known: str = self.server.url
        try:
            attempt = await self._attempt(utcnow())
            pod = self._own_pod.first_in(attempt.cluster.pods.view)
            if pod is None:
                return known
            self.pod_name = key_of(pod).name
            async with asyncio.timeout(self.start_timeout):
                serving = await until_ready_after_restart(attempt, pod)
        except (SpawnFailed, TimeoutError) as error:
            self.log.warning("%s: its address is not known: %s", self._log_name, error)
            return known
        except Exception:
            self.log.exception("%s: its address is not known", self._log_name)
            return known
        # The hub saves a state only after a start or stop of its own, and commits after this call.
        HubDatabase.of(self).save_state(self.get_state())
        address = await known_url(self, attempt.cluster, serving)
        return known if address is None else f"{address}{self.server.base_url}"
