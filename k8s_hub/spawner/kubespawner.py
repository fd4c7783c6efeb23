"""KubeSpawner, the class that JupyterHub calls. docs/lifecycle.md lists what each call returns and when."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property, partial, wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jupyterhub.spawner import Spawner
from jupyterhub.utils import maybe_future
from tornado.ioloop import IOLoop
from tornado.web import HTTPError
from traitlets import observe
from traitlets.utils.bunch import Bunch

from k8s_hub.claims.extra import ExtraClaim, choose_extra, parse_extra_claims
from k8s_hub.claims.home import HomeName, UseExisting, choose_home
from k8s_hub.claims.saved_state import COMPATIBLE_VERSION, SavedState
from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.diagnosis import Diagnosis
from k8s_hub.diagnosis.obstacles import foreign_namespace, no_cluster
from k8s_hub.diagnosis.pod_life import end_in_words, is_ready_to_serve
from k8s_hub.diagnosis.rules import diagnose
from k8s_hub.kube import library
from k8s_hub.kube.core.errors import ConfigurationError, KubeError
from k8s_hub.kube.core.resources import PODS, SECRETS
from k8s_hub.kube.pool import InformerPool
from k8s_hub.naming import slugs
from k8s_hub.naming.templates import Scope, SettingError, scope_of
from k8s_hub.objects.keys import Key, is_dying, key_of, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy
from k8s_hub.spawner import lifecycle, preflight, security, storage
from k8s_hub.spawner.address import Address, known_host, known_url
from k8s_hub.spawner.cluster import Cluster, Views, connection_settings
from k8s_hub.spawner.compat.removed_names import RemovedNames
from k8s_hub.spawner.database import HubDatabase, renewed_access_token
from k8s_hub.spawner.events import shown
from k8s_hub.spawner.failures import (
    SpawnFailed,
    administrators_code,
    explain_timeout,
    failure_of,
    keep_from_count,
    spawn_url,
)
from k8s_hub.spawner.lifecycle import Life, Running, Starting
from k8s_hub.spawner.namespaces import ensure_namespace, may_use
from k8s_hub.spawner.orphans import look_for_orphans
from k8s_hub.spawner.overridable import Overridable
from k8s_hub.spawner.owned_objects import create_owned_objects
from k8s_hub.spawner.poll import NoPod, PodAlive, PodEnded, end_without_pod, look
from k8s_hub.spawner.readiness import Probe
from k8s_hub.spawner.run_log import BROKEN_CODE, RunLog, name_of
from k8s_hub.spawner.spec import OwnPod, ServerSpec, identity_of
from k8s_hub.spawner.start import (
    Attempt,
    Run,
    create_pod,
    ensure_claim,
    refusals,
    requested,
    subscribe,
    until_adopted,
    until_answering,
    until_serving,
    until_synced,
)
from k8s_hub.spawner.stop import Removal, delete_later
from k8s_hub.spawner.user_choices import options_for_hub

if TYPE_CHECKING:
    from k8s_hub.kube.event_subscription import EventSubscription

LAST_WORDS = 2.0
LAST_WORDS_SHARE = 0.05
"""start() gives up with a reason this many seconds before the hub's deadline, or this share of a short one."""

CANCEL_SECONDS = 5.0
"""Seconds after a cancelled start until the hub has stopped the server, or never will."""


def _until_last_words(timeout: float) -> float:
    return timeout - min(LAST_WORDS, timeout * LAST_WORDS_SHARE)


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

    _spawn: "asyncio.Future[Any] | None" = None
    #: The hub's settings, with its count of failures; None before the first spawn.
    _hub_settings: MutableMapping[str, Any] | None = None

    def __init_subclass__(cls) -> None:
        """Supervise a subclass's own start() too, with its code around super().start()."""
        super().__init_subclass__()
        if not hasattr(cls.start, "is_supervised"):
            cls.start = _supervised_start(cls.start)  # type: ignore[method-assign]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Takes the configured namespace, before a hook, a profile or a saved state changes it. The spawner
        #: always watches this namespace, because all users share it.
        self._views = Views(self.namespace)
        library.set_default(connection_settings(self))
        self._life: Life = lifecycle.Unknown()
        self._run = Run(RunLog(self.log))
        #: The uid of this server's pod; "" before its first pod. Subclasses and hooks may read it.
        self.pod_id = ""
        #: The names of the extra claims that this server used last, by the administrator's names for them.
        self.extra_claim_names: dict[str, str] = {}
        if self.user is not None:
            if self.enable_user_namespaces:
                self.namespace = slugs.namespace(self._named_by("user_namespace_template"))
            self._name_objects()
            self._home_name = HomeName(
                template=self.pvc_name_template, by_template=self._named_by("pvc_name_template")
            )
        if self.security_profile:
            options = {name: getattr(self, name) for name in security.DECISIVE}
            security.refuse_contradictions(self.security_profile, options)
        if self.user is not None:
            is_made = type(self).__init__ is KubeSpawner.__init__
            preflight.log_unusable(self._resolver, security.Protection.of(self), is_made=is_made)

    # --- Cluster ---

    @cached_property
    def api(self) -> Any:
        """A ``kubernetes_asyncio.client.CoreV1Api`` of the configured cluster, for hooks and subclasses.

        ``api.api_client`` serves the library's other API classes.
        """
        return library.core_v1(InformerPool.for_current_loop().library(connection_settings(self)))

    async def _connect(self) -> Cluster:
        cluster = await self._views.join(
            connection_settings(self),
            namespace=self.namespace,
            component=self.component_label,
            with_claims=storage.needs_claims(self),
            with_events=self.events_enabled,
        )
        await look_for_orphans(self, cluster)
        return cluster

    async def _leave(self) -> None:
        await self._views.leave(connection_settings(self))

    @property
    def _own_pod(self) -> OwnPod:
        return OwnPod(
            server=identity_of(self),
            key=Key(self.namespace, self.pod_name),
            uid=self.pod_id,
            attempt_id=lifecycle.attempt_of(self._life),
        )

    def _spec(self) -> ServerSpec:
        """Return the server's spec from the current settings."""
        return ServerSpec(
            identity=identity_of(self),
            user_id=self.user.id,
            hub_namespace=self.hub_namespace,
            slug_scheme=self.slug_scheme,
            pod_name=self.pod_name,
            home=self._home_name,
            handles_legacy_names=self.handle_legacy_names,
            extra_claims=parse_extra_claims(self.extra_claims),
            extra_claim_names=self.extra_claim_names,
            is_placed_beside_others=self.storage_same_node,
        )

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
        self._saved = replace(
            saved,
            version=saved.version or COMPATIBLE_VERSION,
            namespace=saved.namespace or self._saved.namespace,
        )
        if saved.pvc_name and self.remember_pvc_name:
            self._home_name = self._home_name.found(saved.pvc_name)
        if self.remember_pvc_name:
            self.extra_claim_names = dict(saved.extra_claims)

    def get_state(self) -> dict[str, Any]:
        """Return the names: a later run then finds the pod and the claim even if the configuration changed."""
        home = self._home_name.remembered
        saved = replace(
            self._saved,
            # Without a claim's name, only an unknown version makes KubeSpawner look for one by its old name.
            version=self._saved.version if home is None else COMPATIBLE_VERSION,
            pod_name=self.pod_name,
            pod_uid=self.pod_id or None,
            namespace=self.namespace if not self.enable_user_namespaces else self._saved.namespace,
            dns_name=self.dns_name,
            pvc_name=home,
            extra_claims=self.extra_claim_names,
            url=known_url(self.server),
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
        self._saved = replace(self._saved, applied_options=None, access_token=None)
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
        return self._spawn

    @_spawn_future.setter
    def _spawn_future(self, spawn: "asyncio.Future[Any] | None") -> None:
        # The hub sets this before it adds its callbacks, so ours runs before the one that counts failures.
        self._spawn = spawn
        if spawn is not None:
            spawn.add_done_callback(self._judge)

    def _judge(self, spawn: "asyncio.Future[Any]") -> None:
        explain_timeout(spawn, timedelta(seconds=self.start_timeout), again=spawn_url(self))
        if self._hub_settings is not None:
            keep_from_count(spawn, self._hub_settings, type(self))

    @observe("handler")
    def _note_settings(self, change: Bunch) -> None:
        # The hub removes the handler before the spawn is done.
        if change.new is not None:
            self._hub_settings = change.new.settings

    async def run_auth_state_hook(self, auth_state: Any) -> None:
        """Run an administrator's hook; JupyterHub also calls this for the form."""
        with self._supervised(), administrators_code("KubeSpawner.auth_state_hook"):
            await super().run_auth_state_hook(auth_state)

    async def get_options_form(self) -> Any:
        """Return the form; report an exception of an administrator's code like a failed start."""
        with self._supervised(), administrators_code("KubeSpawner.options_form"):
            return await super().get_options_form()

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
        """Run an administrator's hook; return an awaitable if the hook is async."""
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
        try:
            url = await self._url_in_time(utcnow())
        except BaseException as error:
            self._life = lifecycle.start_failed(self._life)
            if isinstance(error, asyncio.CancelledError):
                IOLoop.current().call_later(CANCEL_SECONDS, self._stop_if_forgotten)
            raise
        finally:
            self._run.progress.end()
        self._life = lifecycle.start_succeeded()
        if self.save_access_token:
            # This never awaits, so no cancellation can come in between.
            token = renewed_access_token(self, self._log_name)
            self._saved = replace(self._saved, access_token=token or self._saved.access_token)
        return url

    async def _stop_if_forgotten(self) -> None:
        """Have the hub stop a server whose start was cancelled, if it has not.

        For a DELETE of a pending server the hub cancels the start and waits for a second. If the start has not ended then, as on a
        hub that gets no processor, it answers 500, never calls stop(), and shows the server as ready.
        """
        if self.user.spawners.get(self.name) is not self:
            return
        if self.pending:
            IOLoop.current().call_later(CANCEL_SECONDS, self._stop_if_forgotten)
        elif self.ready and not isinstance(self._life, Running):
            self.log.warning(
                "%s: stopping the server: its start was cancelled, and the hub kept it", self._log_name
            )
            await self.user.stop(self.name)

    async def _url_in_time(self, started: datetime) -> str:
        """Return the URL once the new server answers there; else fail with a reason before the hub's deadline."""
        begun, seconds = asyncio.get_running_loop().time(), self.start_timeout
        limit = asyncio.timeout_at(begun + _until_last_words(seconds))
        url = ""
        try:
            async with limit:
                # Before the first request to the cluster, only an administrator's function can take long.
                self._emit(requested(started))
                with security.protected(self):
                    await self.load_user_options()
                # The hub already waits when a profile sets start_timeout: the profile can only shorten it.
                seconds = min(seconds, self.start_timeout)
                limit.reschedule(begun + _until_last_words(seconds))
                attempt = await self._attempt(started)
                with refusals(attempt, PODS.kind, self.pod_name):
                    pod = await self._launch(attempt)
                    whole = await attempt.asking(lambda: self._whole(attempt.cluster, pod))
                url = self._address_of(whole)
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
            existing = await ensure_namespace(attempt, self._namespace_to_create())
        await until_synced(attempt, attempt.cluster.pods)
        if storage.needs_claims(self):
            await until_synced(attempt, attempt.cluster.claims)
        is_known = self.user_namespace_allow_existing or self._saved.namespace == self.namespace
        if not (is_known or may_use(existing, attempt, HubDatabase.of(self))):
            raise SpawnFailed(foreign_namespace(self.namespace))
        self._saved = replace(self._saved, namespace=self.namespace)
        self._life = lifecycle.create_begun(attempt.attempt_id)
        async with attempt.cluster.following() as feed:
            self._run.feed = feed
            claims = await self._ensure_claims(attempt, feed)
            manifest = await self._pod()
            self.pod_name = key_of(manifest).name
            attempt.cluster.pending_deletes.withdraw_matching(self._own_pod.key)
            subscribe(feed, PODS, self._own_pod.key)
            self._run.secrets = security.secrets_in(manifest, self)
            secure = security.secured(manifest, security.Protection.of(self), self.api_token)
            spec = self._spec()
            async with storage.in_turn(spec, attempt, secure.pod, claims) as turn:
                placed = await storage.placed(spec, attempt, secure.pod, claims)
                pod = turn.created = await create_pod(attempt, placed)
            self.pod_id = uid_of(pod)
            attempt.cluster.pods.listeners[key_of(pod)] = self
            owned = [*self._owned_objects(pod), *self._resolver.environment_secret(secure.content)]
            await create_owned_objects(attempt, pod, owned)
            if self.after_pod_created_hook is not None:
                with administrators_code("KubeSpawner.after_pod_created_hook"):
                    await maybe_future(self.after_pod_created_hook(self, pod))
            secrets = {key_of(each.manifest).name for each in owned if each.resource is SECRETS}
            serving = await until_serving(attempt, pod, [key_of(claim) for claim in claims], feed, secrets)
        self.log.info("%s: the pod runs on %s", key_of(serving), serving["spec"].get("nodeName"))
        return serving

    async def _attempt(self, started: datetime) -> Attempt:
        try:
            cluster = await self._connect()
        except ConfigurationError as error:
            raise SpawnFailed(no_cluster(str(error))) from error
        return Attempt(
            cluster=cluster,
            identity=identity_of(self),
            attempt_id=uuid4().hex,
            started=started,
            grace_seconds=self.delete_grace_period,
            creates=self._run.creates,
            emit=self._emit,
            add_events=self._run.progress.add_events,
            diagnose=partial(
                diagnose,
                site_rules=tuple(self.diagnosis_rules),
                on_error=self._log_broken_rule,
            ),
        )

    def _log_broken_rule(self, rule: Callable[..., object], error: Exception) -> None:
        BROKEN_CODE.log_once(self.log, f"diagnosis rule {name_of(rule)}", error)

    async def _ensure_claims(self, attempt: Attempt, feed: "EventSubscription | None") -> list[Raw]:
        """Return this server's claims, home first; create those that are missing."""
        claims = [await self._ensure_home(attempt, feed)] if self.storage_pvc_ensure else []
        extras = parse_extra_claims(self.extra_claims)
        return claims + [await self._ensure_extra_claim(extra, attempt, feed) for extra in extras]

    async def _ensure_home(self, attempt: Attempt, feed: "EventSubscription | None") -> Raw:
        choose = partial(choose_home, storage.home_request(self._spec(), HubDatabase.of(self)))
        claim = await ensure_claim(attempt, choose, self._claim, feed)
        self._home_name = self._home_name.found(key_of(claim).name)
        if self.storage_grow:
            await storage.grow(attempt, claim, self.storage_capacity)
        return claim

    async def _ensure_extra_claim(
        self, extra: ExtraClaim, attempt: Attempt, feed: "EventSubscription | None"
    ) -> Raw:
        template_name = self._expand_user_properties(extra.name_template)
        request = storage.extra_claim_request(self._spec(), extra, template_name, HubDatabase.of(self))
        claim = await ensure_claim(
            attempt,
            partial(choose_extra, request, extra.name),
            partial(self._resolver.extra_claim, extra),
            feed,
        )
        self.extra_claim_names = {**self.extra_claim_names, extra.name: key_of(claim).name}
        if self.storage_grow:
            await storage.grow(attempt, claim, extra.capacity)
        return claim

    def _emit(self, diagnosis: Diagnosis) -> None:
        emitted = self._run.emit(diagnosis)
        if emitted is not None:
            # Only the user needs the normal steps: in a burst of starts they would hide the unusual ones.
            level = logging.DEBUG if emitted.reason is None else logging.INFO
            self.log.log(level, "%s: %s %s", self._log_name, emitted.sentence, emitted.detail)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what the user reads while the server starts; every browser tab gets all of it."""
        updates = self._run.progress.listen(
            remind_after=self.slow_spawn_message_threshold,
            remind_every=self.slow_spawn_message_frequency,
        )
        async for item in shown(self, updates):
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
                await self._leave()
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
                known_host(self.server),
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
                code, how = end_without_pod(self._life, known_host(self.server))
                if how:
                    self._run.log.log_end(logging.WARNING, self._own_pod.key, "Removed", how)
                return code
            case PodEnded(pod=pod, end=end):
                level = logging.WARNING if end.code else logging.INFO
                self._run.log.log_end(level, key_of(pod), end.reason, end_in_words(pod, end))
                # Somebody may be draining the node: another delete would cut the pod's grace period short.
                if self.delete_stopped_pods and not is_dying(pod):
                    delete_later(cluster, pod, self.delete_grace_period, f"its server ended: {end.reason}")
                return end.code
            case PodAlive():
                await self._note_alive(cluster, found)
        return None

    async def _note_alive(self, cluster: Cluster, found: PodAlive) -> None:
        before = self._life.seen if isinstance(self._life, Running) else None
        self._run.log.log_trouble(found.pod, {} if before is None else before.kept)
        self._life = lifecycle.seen_alive(self._life, found.entry)
        self.pod_id = uid_of(found.pod)
        cluster.pods.listeners[key_of(found.pod)] = self
        if self.server is not None and self.server.ip and is_ready_to_serve(found.pod):
            await self._sync_address(cluster, found.pod)

    def object_changed(self) -> None:
        """Have the hub poll at once if it polls this server: the view of pods shows a change of its pod."""
        # Without callbacks the hub would not hear of an end, and its own poll stops after the first that it does not hear of.
        if self._poll_callback and self._callbacks and not self.pending:
            IOLoop.current().add_callback(self.poll_and_notify)

    # --- Stop ---

    async def stop(self, now: bool = False) -> None:
        """Remove this server's pod and return when it is gone; the claim stays.

        Waits for at most `stop_timeout`. Keeps a delete that it cannot deliver, and retries it until it can.
        """
        await self._run.creates.wait()
        uncertain = self._run.creates.uncertain_attempt
        try:
            cluster = await self._connect()
        except ConfigurationError as error:
            self.log.error("%s: cannot stop the server: %s", self._log_name, error)  # noqa: TRY400 - the message says all
            return
        removal = Removal(
            cluster=cluster,
            key=self._own_pod.key,
            is_own=self._own_pod.is_own,
            grace_seconds=0 if now else self.delete_grace_period,
            retry_seconds=self.k8s_api_request_retry_timeout,
            timeout=self.stop_timeout,
            uncertain_attempt=uncertain,
            owned_objects=self._owned_keys(),
        )
        await removal.run(self._own_pod.all_in(cluster.pods.view))
        self._run.creates.settle(uncertain)
        self._life = lifecycle.stopped(self._life)
        await self._leave()

    async def delete_forever(self) -> None:
        """Delete the extra claims of a permanently removed server or user and, with `delete_pvc`, the home.

        Deletes a claim only if it certainly belongs to this server and to no other. Never raises: the hub
        forgets the server whatever happens here.
        """
        policy = RetryPolicy(deadline=self.k8s_api_request_retry_timeout)
        try:
            if self.extra_claim_names:
                cluster = await self._connect()
                await storage.delete_extra_claims(
                    cluster, self._spec(), HubDatabase.of(self), policy=policy, log=self.log
                )
            if self.delete_pvc and self.storage_pvc_ensure:
                name = self._home_name.remembered or await self._existing_home() or self.pvc_name
                cluster = await self._connect()
                await storage.delete_home(
                    cluster, self._spec(), name, HubDatabase.of(self), policy=policy, log=self.log
                )
        except (SpawnFailed, KubeError, TimeoutError) as error:
            self.log.warning(
                "%s: the claim is kept because the cluster did not confirm its deletion: %s",
                self._log_name,
                error,
            )
        await self._leave()

    # --- Rename of a server (JupyterHub 6); for a user's rename, see claims/home.py ---

    async def rename(self, old_name: str, new_name: str) -> None:
        """Keep the home: annotations cannot be changed, so the saved state names the claim from now on.

        Refuses only if the files would stay behind, or if the cluster does not say whether there are any.
        """
        if not self.storage_pvc_ensure or self._home_name.remembered is not None:
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
            await self._leave()
        if home is None:
            return
        if not self.remember_pvc_name and scope_of(self._home_name.template) is Scope.SERVER:
            raise HTTPError(
                409,
                f"The server {old_name!r} was not renamed to {new_name!r} because its files would stay behind: "
                "KubeSpawner.remember_pvc_name is off. Contact your administrator.",
            )
        self._home_name = self._home_name.found(home)
        HubDatabase.of(self).save_state(self.get_state())

    async def _existing_home(self) -> str | None:
        """Return the name of this server's home; None if it has none.

        Raises SpawnFailed or TimeoutError if the cluster does not say.
        """
        async with asyncio.timeout(self.k8s_api_request_retry_timeout):
            attempt = await self._attempt(utcnow())
            await until_synced(attempt, attempt.cluster.claims)
        choice = choose_home(
            storage.home_request(self._spec(), HubDatabase.of(self)), attempt.cluster.claims.view
        )
        return choice.name if isinstance(choice, UseExisting) else None

    # --- Address ---

    async def _sync_address(self, cluster: Cluster, pod: Raw) -> None:
        """Save the pod's current address for the hub: a restarted node gives its pods new addresses.

        The hub updates its routes at its next check.
        """
        url = await self._known_url(cluster, pod)
        if url is None:
            return
        address, server = Address.of(url), self.server
        if address != Address(server.proto, server.ip, server.port):
            self.log.info("%s: the server listens at %s now, not at %s", key_of(pod), url, server.host)
            HubDatabase.of(self).save_address(server, address)

    async def _known_url(self, cluster: Cluster, pod: Raw) -> str | None:
        """Return the URL at which a pod's server listens; None if it is unknown.

        A failing hook or template must neither end a poll nor keep the hub from starting. This method logs the
        failure, and the hub keeps the address it has.
        """
        try:
            async with asyncio.timeout(self.k8s_api_request_timeout):
                return self._address_of(await self._whole(cluster, pod))
        except (KubeError, TimeoutError) as error:
            self.log.debug("%s: its address is not known: %s", key_of(pod), error)
        except Exception:
            self.log.exception("%s: its address is not known", key_of(pod))
        return None

    async def _whole(self, cluster: Cluster, pod: Raw) -> Raw:
        """Return the whole pod if an administrator's code makes its URL, else the kept part of it."""
        is_asked_for = self.get_pod_url is not None or self._overrides("_get_pod_url")
        return await cluster.whole(pod) if is_asked_for else pod

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
                serving = await until_adopted(attempt, pod)
        except (SpawnFailed, TimeoutError) as error:
            self.log.warning("%s: its address is not known: %s", self._log_name, error)
            return known
        except Exception:
            self.log.exception("%s: its address is not known", self._log_name)
            return known
        address = await self._known_url(attempt.cluster, serving)
        return known if address is None else f"{address}{self.server.base_url}"
