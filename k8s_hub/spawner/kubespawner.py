"""KubeSpawner: what JupyterHub calls. What each call answers in each situation is docs/lifecycle.md."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial, wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jupyterhub.spawner import Spawner
from jupyterhub.utils import maybe_future
from tornado.web import HTTPError
from traitlets import observe
from traitlets.utils.bunch import Bunch

from k8s_hub.claims.deletion import Deletable, Kept, may_delete
from k8s_hub.claims.home import UseExisting, choose_home
from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.diagnosis import Diagnosis
from k8s_hub.diagnosis.obstacles import cluster_silent, foreign_namespace, no_cluster
from k8s_hub.diagnosis.pod_life import is_ready_to_serve
from k8s_hub.diagnosis.rules import diagnose
from k8s_hub.diagnosis.telling import at_deadline, hiding
from k8s_hub.kube.core.errors import ConfigurationError, KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import CLAIMS, PODS, SECRETS
from k8s_hub.naming import slugs
from k8s_hub.naming.templates import Scope, SettingError, scope_of
from k8s_hub.objects.keys import Key, key_of, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.spawner import credentials, launch, preflight, resolve, security, storage
from k8s_hub.spawner.companions import create_companions
from k8s_hub.spawner.events import shown
from k8s_hub.spawner.failures import (
    SpawnFailed,
    administrators_code,
    explain_timeout,
    failure_of,
    keep_from_count,
)
from k8s_hub.spawner.launch import Creates
from k8s_hub.spawner.liveness import Liveness
from k8s_hub.spawner.namespaces import ensure_namespace, is_of_this_hub
from k8s_hub.spawner.progress import Progress
from k8s_hub.spawner.readiness import Probe
from k8s_hub.spawner.run_log import BROKEN_CODE, RunLog
from k8s_hub.spawner.saved_state import COMPATIBLE_VERSION, SavedState
from k8s_hub.spawner.surface import Surface
from k8s_hub.spawner.teardown import Removal
from k8s_hub.spawner.user_choices import UserChoices

if TYPE_CHECKING:
    from k8s_hub.kube.event_subscription import EventSubscription

LAST_WORDS = 2.0
LAST_WORDS_SHARE = 0.05
"""start() ends so many seconds before the hub's deadline, or by this share of a short one, with its reason."""


def _supervised_start(start: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return a method that tells JupyterHub of what ends the start as `failure_of` does."""

    @wraps(start)
    async def supervised(self: "KubeSpawner", *args: Any, **kwargs: Any) -> Any:
        with self._supervised():
            url = start(self, *args, **kwargs)
            return await url if isawaitable(url) else url

    supervised.__dict__["is_supervised"] = True
    return supervised


class KubeSpawner(UserChoices, Liveness, Surface, Spawner):  # type: ignore[misc] # JupyterHub has no types
    """Spawns each of a user's servers as one pod with one retained claim."""

    _spawn: "asyncio.Future[Any] | None" = None
    #: Where the hub counts failures; None until it spawns.
    _hub_settings: MutableMapping[str, Any] | None = None

    def __init_subclass__(cls) -> None:
        """Supervise what a subclass does around the start, too."""
        super().__init_subclass__()
        if not hasattr(cls.start, "is_supervised"):
            cls.start = _supervised_start(cls.start)  # type: ignore[method-assign]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._progress = Progress()
        self._feed: EventSubscription | None = None
        self._creates = Creates()
        self._mark = ""
        #: What must not be said of the pod that is being started.
        self._secrets: frozenset[str] = frozenset()
        #: The claims besides the home that were used last, by the admin's names for them.
        self.extra_claim_names: dict[str, str] = {}
        self._state_version = COMPATIBLE_VERSION
        #: Where this server has been, as the saved state says; not a namespace in which it was refused.
        self._used_namespace: str | None = None
        self._access_token: str | None = None
        if self.user is not None:
            if self.enable_user_namespaces:
                self.namespace = slugs.namespace(self._named_by("user_namespace_template"))
            self._name_objects()
            self._name_home()
        security.refuse_contradictions(self)
        if self.user is not None:
            preflight.tell_unusable(self)

    # --- Names and saved state ---

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over the names of a server that an earlier run, of any version, has started."""
        super().load_state(state)
        saved = SavedState.load(state)
        self.pod_name = saved.pod_name or self.pod_name
        self.pod_id = saved.pod_uid or self.pod_id
        if saved.namespace:
            self.namespace = self._used_namespace = saved.namespace
        self.dns_name = saved.dns_name or self.dns_name
        self._state_version = saved.version or COMPATIBLE_VERSION
        self._applied_options = saved.applied_options
        self._access_token = saved.access_token
        if saved.pvc_name and self.remember_pvc_name:
            self._home_name = self._home_name.found(saved.pvc_name)
        if self.remember_pvc_name:
            self.extra_claim_names = dict(saved.extra_claims)

    def get_state(self) -> dict[str, Any]:
        """Return the names, so that a later run finds the pod and the claim whatever was configured since."""
        home = self._home_name.remembered
        saved = SavedState(
            # Without a claim's name, only an unknown version makes KubeSpawner look for one by its old name.
            version=self._state_version if home is None else COMPATIBLE_VERSION,
            pod_name=self.pod_name,
            pod_uid=self.pod_id or None,
            namespace=self.namespace if not self.enable_user_namespaces else self._used_namespace,
            dns_name=self.dns_name,
            pvc_name=home,
            extra_claims=self.extra_claim_names,
            url=self._url_in_state,
            applied_options=self._applied_options,
            access_token=self._access_token,
        )
        return {**super().get_state(), **saved.dump()}

    @property
    def _url_in_state(self) -> str | None:
        """The address that the hub has of this server, one of an earlier spawner too; None before it is known."""
        return self.server.url if self.server is not None and self.server.ip else None

    def clear_state(self) -> None:
        """Forget the pod; the claim stays this server's."""
        super().clear_state()
        try:
            self._name_objects()
        except SettingError as error:
            # A stop ends with this call. The names stay, and the next spawner has the configured templates again.
            self.log.warning("%s: names not renewed: %s", self._log_name, error)
        self.pod_id = ""
        self._start_future = None
        self._applied_options = self._access_token = None
        self._may_be_unfinished = False
        self._alive = None
        self._run_log = RunLog(self.log)
        # The hub clears the state before its own preparations for a start, while tabs already listen.
        self._forget_progress()

    # --- What ends a start, and what of it the hub counts ---

    @contextmanager
    def _supervised(self) -> Iterator[None]:
        """Tell JupyterHub of whatever is raised inside as `failure_of` does."""
        try:
            yield
        except Exception as error:
            failure = failure_of(error, self, self._secrets | security.configured_secrets(self))
            if failure is error:
                raise
            # Its causes quote the cluster, and JupyterHub 5 logs them with their traceback.
            raise failure from None

    @property
    def _spawn_future(self) -> "asyncio.Future[Any] | None":
        """The spawn that is under way, or the last one if it has failed. JupyterHub sets it."""
        return self._spawn

    @_spawn_future.setter
    def _spawn_future(self, spawn: "asyncio.Future[Any] | None") -> None:
        # The hub sets it before it adds its own callbacks, so that ours is called before the one that counts.
        self._spawn = spawn
        if spawn is not None:
            spawn.add_done_callback(self._judge)

    def _judge(self, spawn: "asyncio.Future[Any]") -> None:
        explain_timeout(spawn, timedelta(seconds=self.start_timeout))
        if self._hub_settings is not None:
            keep_from_count(spawn, self._hub_settings, type(self))

    @observe("handler")
    def _note_settings(self, change: Bunch) -> None:
        # The hub has taken the handler away again when the spawn is done.
        if change.new is not None:
            self._hub_settings = change.new.settings

    async def run_auth_state_hook(self, auth_state: Any) -> None:
        """Run an administrator's hook; JupyterHub calls it for the form, too."""
        with self._supervised(), administrators_code("KubeSpawner.auth_state_hook"):
            await super().run_auth_state_hook(auth_state)

    async def get_options_form(self) -> Any:
        """Return the form; what an administrator's code raises on the way is told like what ends a start."""
        with self._supervised(), administrators_code("KubeSpawner.options_form"):
            return await super().get_options_form()

    async def apply_group_overrides(self) -> None:
        """Apply what an administrator has configured for the user's groups."""
        with self._supervised(), administrators_code("KubeSpawner.group_overrides"):
            await super().apply_group_overrides()

    async def _run_apply_user_options(self, user_options: dict[str, Any]) -> None:
        before = security.protection(self)
        with self._supervised(), administrators_code("KubeSpawner.apply_user_options"):
            await super()._run_apply_user_options(user_options)
            security.refuse_weakening(self, before)

    def run_pre_spawn_hook(self) -> Awaitable[Any] | None:
        """Run an administrator's hook; what is left of an async one is returned, to be awaited."""
        with self._supervised(), administrators_code("KubeSpawner.pre_spawn_hook"):
            result = super().run_pre_spawn_hook()
        return self._supervise_rest(result) if isawaitable(result) else None

    async def _supervise_rest(self, hook: Awaitable[Any]) -> None:
        with self._supervised(), administrators_code("KubeSpawner.pre_spawn_hook"):
            await hook

    async def create_certs(self) -> dict[str, str]:
        """Return the paths of the new key, certificate and authority of this server, for ``internal_ssl``."""
        with self._supervised():
            return await super().create_certs()

    # --- Start ---

    @_supervised_start
    async def start(self) -> str:
        """Return the URL of the running server; fail with a reason before the hub's own deadline.

        Safe to cancel at any point and to repeat: whatever was created is found again by the next stop or
        start.
        """
        started = utcnow()
        self._forget_progress()
        margin = min(LAST_WORDS, self.start_timeout * LAST_WORDS_SHARE)
        url = ""
        self._is_starting = True
        limit = asyncio.timeout(self.start_timeout - margin)
        self._start_future = asyncio.current_task()
        try:
            async with limit:
                # Until the cluster is asked, what takes long is an administrator's function.
                self._tell(launch.requested(started))
                await self._apply_choices()
                attempt = await self._attempt(started)
                with launch.refusals(attempt, PODS.kind, self.pod_name):
                    pod = await self._launch(attempt)
                    whole = await attempt.asking(lambda: self._as_hooks_see_it(attempt.cluster, pod))
                url = self._address_of(whole)
                probe = Probe.of(self, url)
                await launch.until_answering(attempt, pod, probe, seconds=self.http_timeout)
        except TimeoutError:
            if not limit.expired():
                raise
            # A pod that runs came in time; for the server's answer the hub has `http_timeout`, beyond this deadline.
            if not url:
                raise SpawnFailed(self._at_deadline(utcnow() - started)) from None
        finally:
            self._is_starting = False
            self._progress.end()
        self._may_have_created = False
        if self.save_access_token:
            self._renew_access_token()
        return url

    def _renew_access_token(self) -> None:
        """Make the token of the server that has just started; it does not wait, so that no cancellation is between."""
        try:
            self._access_token = credentials.renew_access_token(self)
        except ValueError as error:  # the role of the user does not let them access their own server
            self.log.warning("%s: no access token is saved: %s", self._log_name, error)

    async def _apply_choices(self) -> None:
        """Apply what the user chose; no choice turns off what protects the cluster."""
        before = security.protection(self)
        await self.load_user_options()
        security.refuse_weakening(self, before)

    async def _launch(self, attempt: launch.Attempt) -> Raw:
        """Return what is kept of the new pod, which runs."""
        self._settle_dns_name()
        existing = None
        if self.enable_user_namespaces:
            existing = await ensure_namespace(attempt, self._namespace_to_create())
        await launch.until_synced(attempt, attempt.cluster.pods)
        if self._needs_claims:
            await launch.until_synced(attempt, attempt.cluster.claims)
        if not self._may_use(existing, attempt):
            raise SpawnFailed(foreign_namespace(self.namespace))
        self._used_namespace = self.namespace
        self._may_have_created = True
        async with attempt.cluster.following() as feed:
            self._feed = feed
            claims = await self._ensure_claims(attempt, feed)
            manifest = await self._pod()
            self.pod_name = key_of(manifest).name
            attempt.cluster.pending_deletes.withdraw_matching(self._pod_key)
            launch.follow(feed, PODS, self._pod_key)
            self._secrets = security.secrets_of(self, manifest)
            secure = security.secured(self, manifest)
            async with storage.in_turn(self, attempt, secure.pod, claims) as turn:
                placed = await storage.placed(self, attempt, secure.pod, claims)
                pod = turn.created = await launch.create_pod(attempt, placed)
            self.pod_id = uid_of(pod)
            companions = [*self._companions(pod), *self._environment_secret(secure.content)]
            await create_companions(attempt, pod, companions)
            if self.after_pod_created_hook is not None:
                with administrators_code("KubeSpawner.after_pod_created_hook"):
                    await maybe_future(self.after_pod_created_hook(self, pod))
            secrets = {key_of(each.manifest).name for each in companions if each.resource is SECRETS}
            serving = await launch.until_serving(
                attempt, pod, [key_of(claim) for claim in claims], feed, secrets
            )
        self.log.info("%s: the pod runs on %s", key_of(serving), serving["spec"].get("nodeName"))
        return serving

    def _may_use(self, namespace: Raw | None, attempt: launch.Attempt) -> bool:
        """Tell whether servers may be put into a namespace that exists; None is one that is surely this hub's."""
        return (
            namespace is None
            or self.user_namespace_allow_existing
            or self.namespace == self._used_namespace
            or self.namespace in resolve.namespaces_of_other_servers(self)
            or is_of_this_hub(namespace, attempt.cluster, attempt.identity)
        )

    async def _attempt(self, started: datetime) -> launch.Attempt:
        try:
            cluster = await self._connect()
        except ConfigurationError as error:
            raise SpawnFailed(no_cluster(str(error))) from error
        self._mark = uuid4().hex
        return launch.Attempt(
            cluster=cluster,
            identity=resolve.identity(self),
            mark=self._mark,
            started=started,
            grace_seconds=self.delete_grace_period,
            creates=self._creates,
            tell=self._tell,
            hear=self._progress.hear,
            diagnose=partial(
                diagnose,
                site_rules=tuple(self.diagnosis_rules),
                on_error=partial(BROKEN_CODE.tell, self.log, "diagnosis rule"),
            ),
        )

    async def _ensure_claims(self, attempt: launch.Attempt, feed: "EventSubscription | None") -> list[Raw]:
        """Return this server's claims, which exist now, its home first."""
        home = await self._ensure_home(attempt, feed) if self.storage_pvc_ensure else None
        others = await storage.ensure_extra_claims(self, attempt, feed)
        return others if home is None else [home, *others]

    async def _ensure_home(self, attempt: launch.Attempt, feed: "EventSubscription | None") -> Raw:
        choose = partial(choose_home, resolve.home_request(self))
        claim = await launch.ensure_claim(attempt, choose, self._claim, feed)
        self._home_name = self._home_name.found(key_of(claim).name)
        if self.storage_grow:
            await storage.grow(attempt, claim, self.storage_capacity)
        return claim

    def _tell(self, diagnosis: Diagnosis) -> None:
        told = self._progress.tell(self._without_secrets(diagnosis))
        if told is not None:
            # Steps that are as usual are for the user: in a burst of starts they would hide what is not.
            level = logging.DEBUG if told.reason is None else logging.INFO
            self.log.log(level, "%s: %s %s", self._log_name, told.message, told.detail)

    def _at_deadline(self, waited: timedelta) -> Diagnosis:
        latest = self._progress.latest or cluster_silent()
        return at_deadline(latest, waited)

    def _without_secrets(self, diagnosis: Diagnosis) -> Diagnosis:
        """Return what may be said: where something is wrong, the cluster may quote the pod."""
        return diagnosis if diagnosis.reason is None else hiding(diagnosis, self._secrets)

    def _forget_progress(self) -> None:
        """Begin a new progress if the last one belongs to a start that is over; its listeners stay."""
        if self._progress.has_ended:
            self._progress = Progress()

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what the user reads while the server starts; every browser tab hears all of it."""
        news = self._progress.listen(
            remind_after=self.slow_spawn_message_threshold,
            remind_every=max(1, self.slow_spawn_message_frequency),
        )
        async for item in shown(self, news):
            yield item

    @property
    def events(self) -> list[Raw]:
        """What Kubernetes has said about the pod while it starts, the latest last; for subclasses and hooks."""
        heard = () if self._feed is None else self._feed.events()
        return [event for event in heard if (event.get("involvedObject") or {}).get("kind") == PODS.kind]

    # --- Stop ---

    async def stop(self, now: bool = False) -> None:
        """Remove this server's pod and return when it is gone; the claim stays.

        The wait is bounded by `stop_timeout`; a delete that cannot be delivered is kept until it is.
        """
        await self._creates.settle()
        try:
            cluster = await self._connect()
        except ConfigurationError as error:
            self.log.error("%s: nothing can be stopped: %s", self._log_name, error)  # noqa: TRY400 - it says all
            return
        removal = Removal(
            cluster=cluster,
            key=self._pod_key,
            is_ours=self._is_ours,
            grace_seconds=0 if now else self.delete_grace_period,
            retry_seconds=self.k8s_api_request_retry_timeout,
            timeout=self.stop_timeout,
            uncertain_mark=self._mark if self._creates.is_uncertain else None,
            companions=self._companion_keys(),
        )
        await removal.run(self._pods_in_view(cluster))
        self._creates = Creates()
        self._may_have_created = False
        await self._leave()

    async def delete_forever(self) -> None:
        """Delete the claims of a server or user that is gone for good: extra ones, and with `delete_pvc` the home.

        Only a claim that is surely this server's and no other's is deleted. Never raises: the hub forgets the
        server whatever happens here.
        """
        try:
            if self.extra_claim_names:
                await storage.delete_extra_claims(self, await self._connect())
            if self.delete_pvc and self.storage_pvc_ensure:
                await self._delete_home()
        except (SpawnFailed, KubeError, TimeoutError) as error:
            self.log.warning(
                "%s: the claim is kept because the cluster did not say yes: %s", self._log_name, error
            )
        await self._leave()

    async def _delete_home(self) -> None:
        remembered = self._home_name.remembered
        name = remembered or await self._existing_home() or self.pvc_name
        cluster = await self._connect()
        key = Key(self.namespace, name)
        policy = RetryPolicy(deadline=self.k8s_api_request_retry_timeout)
        try:
            claim = await retrying(policy, lambda: cluster.api.get(CLAIMS, key), on=Unavailable)
        except NotFound:
            claim = None
        decision = may_delete(
            claim,
            identity=resolve.identity(self),
            scope=scope_of(self._home_name.template),
            is_remembered=name == remembered,
            siblings=resolve.siblings(self),
            other_users=resolve.users_with_claim(self, name),
        )
        match decision:
            case Deletable(uid=uid):
                await retrying(policy, lambda: cluster.api.delete(CLAIMS, key, uid=uid), on=Unavailable)
                self.log.info("%s: the claim is deleted", key)
            case Kept(reason=reason):
                self.log.info("%s: the claim is kept because %s", key, reason)

    # --- Rename ---

    async def rename(self, old_name: str, new_name: str) -> None:
        """Keep the home: no annotation can be changed, so the saved state names the claim from now on.

        Refused only where the files would stay behind, or where nobody can say whether there are any.
        """
        if not self.storage_pvc_ensure or self._home_name.remembered is not None:
            return
        try:
            home = await self._existing_home()
        except (SpawnFailed, TimeoutError) as error:
            self.log.warning("%s: not renamed, its home is not known: %s", self._log_name, error)
            raise HTTPError(
                503,
                f"The server {old_name!r} was not renamed to {new_name!r}: its files cannot be found because the "
                "cluster does not answer. Please try again later.",
            ) from error
        finally:
            await self._leave()
        if home is None:
            return
        if not self.remember_pvc_name and scope_of(self._home_name.template) is Scope.SERVER:
            raise HTTPError(
                409,
                f"The server {old_name!r} was not renamed to {new_name!r}: its files would stay behind, because "
                "KubeSpawner.remember_pvc_name is off.",
            )
        self._home_name = self._home_name.found(home)
        self.orm_spawner.state = self.get_state()

    async def _existing_home(self) -> str | None:
        """Return the name of this server's home; None if it has none.

        Raises SpawnFailed or TimeoutError where the cluster does not say.
        """
        async with asyncio.timeout(self.k8s_api_request_retry_timeout):
            attempt = await self._attempt(utcnow())
            await launch.until_synced(attempt, attempt.cluster.claims)
        choice = choose_home(resolve.home_request(self), attempt.cluster.claims.view)
        return choice.name if isinstance(choice, UseExisting) else None

    # --- Address ---

    async def get_url(self) -> str:
        """Return the server's URL after a restart of the hub: from the pod, else the one the hub has.

        A pod that was still starting when the hub died is waited for.
        """
        known: str = self.server.url
        try:
            attempt = await self._attempt(utcnow())
            pod = self._pod_in_view(attempt.cluster)
            if pod is None:
                return known
            self.pod_name = key_of(pod).name
            async with asyncio.timeout(self.start_timeout):
                serving = await self._until_serving(attempt, pod)
        except (SpawnFailed, TimeoutError) as error:
            self.log.warning("%s: its address is not known: %s", self._log_name, error)
            return known
        except Exception:
            self.log.exception("%s: its address is not known", self._log_name)
            return known
        address = await self._address(attempt.cluster, serving)
        return known if address is None else f"{address}{self.server.base_url}"

    async def _until_serving(self, attempt: launch.Attempt, pod: Raw) -> Raw:
        """Wait for a pod of an earlier hub's start, whose events so far nobody here has heard."""
        if is_ready_to_serve(pod):
            return pod
        async with attempt.cluster.following() as feed:
            launch.follow(feed, PODS, key_of(pod))
            if feed is not None:
                await feed.backfill()
            return await launch.until_serving(attempt, pod, (), feed)
