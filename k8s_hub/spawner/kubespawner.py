"""KubeSpawner: what JupyterHub calls. What each call answers in each situation is docs/lifecycle.md."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jupyterhub.spawner import Spawner
from jupyterhub.utils import maybe_future
from tornado.web import HTTPError

from k8s_hub.claims.deletion import Deletable, Kept, may_delete
from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.cluster import cluster_silent, no_cluster
from k8s_hub.diagnosis.diagnosis import Diagnosis
from k8s_hub.diagnosis.pod_life import (
    Ended,
    end_in_words,
    is_ready_to_serve,
    judge_pod,
)
from k8s_hub.diagnosis.progress import at_deadline
from k8s_hub.kube.configuration import ConnectionSettings, pod_namespace
from k8s_hub.kube.errors import ConfigurationError, KubeError, NotFound, Unavailable
from k8s_hub.kube.resources import CLAIMS, PODS
from k8s_hub.manifests.claim import build_claim
from k8s_hub.manifests.pod import NOTEBOOK_PORT_NAME, build_pod
from k8s_hub.naming.ownership import is_ours
from k8s_hub.naming.templates import expand, expand_dns_name, expand_host, scope_of
from k8s_hub.objects.keys import Key, key_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.spawner import launch, resolve
from k8s_hub.spawner.cluster import Cluster, connect, owner
from k8s_hub.spawner.failures import SpawnFailed, hub_error
from k8s_hub.spawner.in_flight import Creates
from k8s_hub.spawner.models import to_json, to_model
from k8s_hub.spawner.progress import Progress
from k8s_hub.spawner.run_log import RunLog
from k8s_hub.spawner.saved_state import COMPATIBLE_VERSION, SavedState
from k8s_hub.spawner.teardown import Removal, delete_later
from k8s_hub.spawner.traits.cluster import ClusterTraits
from k8s_hub.spawner.traits.container import ContainerTraits
from k8s_hub.spawner.traits.hooks import HookTraits
from k8s_hub.spawner.traits.image import ImageTraits
from k8s_hub.spawner.traits.lifetime import LifetimeTraits
from k8s_hub.spawner.traits.metadata import MetadataTraits
from k8s_hub.spawner.traits.naming import NamingTraits
from k8s_hub.spawner.traits.network import NetworkTraits
from k8s_hub.spawner.traits.profiles import ProfileTraits
from k8s_hub.spawner.traits.resources import ResourceTraits
from k8s_hub.spawner.traits.scheduling import SchedulingTraits
from k8s_hub.spawner.traits.security import SecurityTraits
from k8s_hub.spawner.traits.storage import StorageTraits

if TYPE_CHECKING:
    from k8s_hub.kube.events import Feed
    from k8s_hub.kube.store import Entry

LAST_WORDS = 2.0
LAST_WORDS_SHARE = 0.05
"""start() ends so many seconds before the hub's deadline, or by this share of a short one, with its reason."""

UNFINISHED_START = 300.0
"""Seconds that poll() waits for the cluster's word about a server whose start the hub did not survive."""

CONFIRMING = RetryPolicy(deadline=math.inf)


class KubeSpawner(
    ClusterTraits,
    NamingTraits,
    MetadataTraits,
    ImageTraits,
    ContainerTraits,
    SecurityTraits,
    SchedulingTraits,
    ResourceTraits,
    StorageTraits,
    NetworkTraits,
    HookTraits,
    LifetimeTraits,
    ProfileTraits,
    Spawner,  # type: ignore[misc] # JupyterHub has no types
):
    """Spawns each of a user's servers as one pod with one retained claim."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._progress = Progress()
        self._creates = Creates()
        self._mark = ""
        #: "A start may have created something": set before the first create, cleared when start() returned a
        #: URL or stop() saw to it that nothing is left. While it is set, poll() says None, so that the hub
        #: calls stop().
        self._may_have_created = False
        #: "The hub may have died in the middle of this server's start": until a run begins in this process, or
        #: poll() has waited for the cluster's word once.
        self._may_be_unfinished = True
        #: The home claim that was used last, as the saved state says.
        self.remembered_pvc_name: str | None = None
        self._pvc_exists = False
        #: The pod as poll() last found it alive.
        self._alive: Entry | None = None
        self._run_log = RunLog(self.log)
        if self.user is not None:
            self._name_objects()
            self.pvc_name = self._expand_user_properties(self.pvc_name_template)

    # --- Names and saved state ---

    @property
    def hub_namespace(self) -> str:
        """The namespace of the hub itself, for templates."""
        return pod_namespace() or "default"

    def _name_objects(self) -> None:
        self.pod_name = self._expand_user_properties(self.pod_name_template)
        self.dns_name = expand_dns_name(
            self.dns_name_template, pod_name=self.pod_name, namespace=self.namespace
        )

    def _expand_user_properties(self, template: str, slug_scheme: str | None = None) -> str:
        return expand(template, resolve.names(self, slug_scheme=slug_scheme))

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over the names of a server that an earlier run, of any version, has started."""
        super().load_state(state)
        saved = SavedState.load(state)
        self.pod_name = saved.pod_name or self.pod_name
        self.namespace = saved.namespace or self.namespace
        self.dns_name = saved.dns_name or self.dns_name
        if saved.pvc_name and self.remember_pvc_name:
            self.pvc_name = self.remembered_pvc_name = saved.pvc_name
            self._pvc_exists = True

    def get_state(self) -> dict[str, Any]:
        """Return the names, so that a later run finds the pod and the claim whatever was configured since."""
        saved = SavedState(
            version=COMPATIBLE_VERSION,
            pod_name=self.pod_name,
            namespace=self.namespace,
            dns_name=self.dns_name,
            pvc_name=self.pvc_name if self._pvc_exists else None,
        )
        return {**super().get_state(), **saved.dump()}

    def clear_state(self) -> None:
        """Forget the pod; the claim stays this server's."""
        super().clear_state()
        self._name_objects()
        self._may_be_unfinished = False
        self._alive = None
        self._run_log = RunLog(self.log)
        # The hub clears the state before its own preparations for a start, while tabs already listen.
        self._forget_progress()

    # --- What a server is made of ---

    def get_env(self) -> dict[str, Any]:
        """Return the environment of the user's container, templates expanded."""
        return resolve.environment(self, super().get_env())

    async def get_pod_manifest(self) -> Any:
        """Return the V1Pod to create; subclasses change what this returns."""
        return to_model(build_pod(await resolve.pod_inputs(self)), "V1Pod")

    def get_pvc_manifest(self) -> Any:
        """Return the V1PersistentVolumeClaim to create; subclasses change what this returns."""
        return to_model(build_claim(resolve.claim_inputs(self)), "V1PersistentVolumeClaim")

    async def _pod(self) -> Raw:
        """Return the pod to create; model objects are made only for those who want them."""
        if not self._overrides("get_pod_manifest") and self.modify_pod_hook is None:
            return build_pod(await resolve.pod_inputs(self))
        pod = await self.get_pod_manifest()
        if self.modify_pod_hook is not None:
            pod = await maybe_future(self.modify_pod_hook(self, pod))
        manifest: Raw = to_json(pod)
        return manifest

    def _claim(self, name: str) -> Raw:
        """Return the home claim to create under this name."""
        self.pvc_name = name
        if not self._overrides("get_pvc_manifest"):
            return build_claim(resolve.claim_inputs(self))
        manifest: Raw = to_json(self.get_pvc_manifest())
        return manifest

    def _overrides(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(KubeSpawner, method)

    # --- Start ---

    async def start(self) -> str:
        """Return the URL of the running server; fail with a reason before the hub's own deadline.

        Safe to cancel at any point and to repeat: whatever was created is found again by the next stop or
        start.
        """
        started = utcnow()
        self._forget_progress()
        margin = min(LAST_WORDS, self.start_timeout * LAST_WORDS_SHARE)
        url = ""
        try:
            async with asyncio.timeout(self.start_timeout - margin) as limit:
                attempt = await self._attempt(started)
                pod = await self._launch(attempt)
                url = self._get_pod_url(pod)
                await launch.until_answering(attempt, pod, url, seconds=self.http_timeout)
        except TimeoutError:
            if not limit.expired():
                raise
            # A pod that runs came in time; for the server's answer the hub has `http_timeout`, beyond this deadline.
            if not url:
                raise self._hub_error(self._at_deadline(utcnow() - started)) from None
        except SpawnFailed as failure:
            raise self._hub_error(failure.diagnosis) from failure
        finally:
            self._progress.end()
        self._may_have_created = False
        return url

    async def _launch(self, attempt: launch.Attempt) -> Raw:
        """Return what is kept of the new pod, which runs."""
        self._tell(launch.requested(attempt))
        for informer in (attempt.cluster.pods, attempt.cluster.claims):
            await launch.until_synced(attempt, informer)
        self._may_have_created = True
        async with attempt.cluster.following() as feed:
            home = await self._ensure_home(attempt, feed)
            manifest = await self._pod()
            self.pod_name = key_of(manifest).name
            attempt.cluster.undelivered.withdraw_searches(self._pod_key)
            launch.follow(feed, PODS, self._pod_key)
            pod = await launch.create_pod(attempt, manifest)
            if self.after_pod_created_hook is not None:
                await maybe_future(self.after_pod_created_hook(self, pod))
            serving = await launch.until_serving(attempt, pod, home, feed)
        self.log.info("%s: the pod runs on %s", key_of(serving), serving["spec"].get("nodeName"))
        return serving

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
        )

    async def _ensure_home(self, attempt: launch.Attempt, feed: "Feed | None") -> Key | None:
        if not self.storage_pvc_ensure:
            return None
        claim = await launch.ensure_home(attempt, resolve.home_request(self), self._claim, feed)
        self.pvc_name = self.remembered_pvc_name = key_of(claim).name
        self._pvc_exists = True
        return key_of(claim)

    def _tell(self, diagnosis: Diagnosis) -> None:
        told = self._progress.tell(diagnosis)
        if told is not None:
            # Steps that are as usual are for the user: in a burst of starts they would hide what is not.
            level = logging.DEBUG if told.reason is None else logging.INFO
            self.log.log(level, "%s: %s %s", self._log_name, told.message, told.detail)

    def _at_deadline(self, waited: timedelta) -> Diagnosis:
        latest = self._progress.latest or cluster_silent()
        return at_deadline(latest, waited)

    def _hub_error(self, diagnosis: Diagnosis) -> HTTPError:
        return hub_error(diagnosis, self)

    def _forget_progress(self) -> None:
        """Begin a new progress if the last one belongs to a start that is over; its listeners stay."""
        if self._progress.has_ended:
            self._progress = Progress()

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what the user reads while the server starts; every browser tab hears all of it."""
        async for diagnosis in self._progress.listen():
            yield {"progress": diagnosis.percent, "message": diagnosis.message}

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
        )
        await removal.run(self._pods_in_view(cluster))
        self._creates = Creates()
        self._may_have_created = False

    async def delete_forever(self) -> None:
        """Delete the home claim of a server or user that is gone for good, if `delete_pvc` says so.

        Only a claim that is surely this server's and no other's is deleted.
        """
        if not self.delete_pvc or not self.storage_pvc_ensure:
            return
        cluster = await self._connect()
        key = Key(self.namespace, self.pvc_name)
        try:
            claim = await cluster.api.get(CLAIMS, key)
        except NotFound:
            claim = None
        decision = may_delete(
            claim,
            identity=resolve.identity(self),
            scope=scope_of(self.pvc_name_template),
            referred_to_by=resolve.users_of_claim(self, self.pvc_name),
        )
        match decision:
            case Deletable(uid=uid):
                await cluster.api.delete(CLAIMS, key, uid=uid)
                self.log.info("%s: the claim is deleted", key)
            case Kept(reason=reason):
                self.log.info("%s: the claim is kept because %s", key, reason)

    # --- Poll ---

    async def poll(self) -> int | None:
        """Return None while the server runs, may run or may come to run; else its exit code.

        Never an exception and never a guess: the hub forgets a server that poll() gives up. A pod that has
        ended is removed in the background, because the hub will not call stop() for it.
        """
        if self._may_have_created:
            return None
        try:
            cluster = await self._connect()
            if self._is_known_alive(cluster):
                return None
            pod = await self._find_pod(cluster)
        except (KubeError, TimeoutError) as error:
            self.log.debug("%s: unknown, so it counts as running: %s", self._log_name, error)
            self._may_be_unfinished = False
            return None
        if pod is None:
            return self._without_pod()
        match judge_pod(pod):
            case Ended() as ended:
                level = logging.WARNING if ended.code else logging.INFO
                self._run_log.tell_end(level, key_of(pod), end_in_words(pod, ended))
                self._remove_ended(cluster, pod, ended.reason)
                return ended.code
            case _:
                self._run_log.tell_trouble(pod, {} if self._alive is None else self._alive.kept)
                self._alive = cluster.pods.view.entry(key_of(pod))
                return None

    def _without_pod(self) -> int:
        """Return the exit code of a server that never ran, or whose pod somebody has removed."""
        if self.server is None:
            return 0
        how = (
            "the hub died in the middle of its start, before there was a pod"
            if self._was_being_started
            else "its pod was removed by somebody else"
        )
        self._run_log.tell_end(logging.WARNING, self._pod_key, how)
        return 1

    def _is_known_alive(self, cluster: Cluster) -> bool:
        """True when nothing has changed since the pod was last judged: each change makes another entry."""
        return self._alive is not None and cluster.pods.view.entry(self._pod_key) is self._alive

    async def _find_pod(self, cluster: Cluster) -> Raw | None:
        """Return this server's pod; None if it surely has none.

        Raises KubeError or TimeoutError where the cluster cannot say.
        """
        async with asyncio.timeout(self._poll_patience(cluster)):
            await cluster.pods.wait_synced(deadline=math.inf)
            pod = self._pod_in_view(cluster)
            if pod is not None or self.server is None:
                return pod
            try:
                found = await retrying(
                    CONFIRMING, lambda: cluster.api.get(PODS, self._pod_key), on=Unavailable
                )
            except NotFound:
                return None
        return found if self._is_ours(found) else None

    def _poll_patience(self, cluster: Cluster) -> float:
        """Return the seconds that poll() may wait for the cluster's word.

        A server with an address ran, and the hub can ask it itself. One without was being started when the
        hub died: to give it up would leave its pod behind.
        """
        if self._was_being_started:
            return UNFINISHED_START
        return 0 if cluster.pods.failure is not None else self.k8s_api_request_timeout

    @property
    def _was_being_started(self) -> bool:
        """True when the hub died in the middle of this server's start: its row has no address."""
        return self._may_be_unfinished and self.server is not None and not self.server.ip

    def _remove_ended(self, cluster: Cluster, pod: Raw, reason: str) -> None:
        if self.delete_stopped_pods:
            delete_later(cluster, pod, self.delete_grace_period, f"its server ended: {reason}")

    def _pod_in_view(self, cluster: Cluster) -> Raw | None:
        """Return this server's pod by its name, else by its annotations: names may have changed since."""
        return next(iter(self._pods_in_view(cluster)), None)

    def _pods_in_view(self, cluster: Cluster) -> list[Raw]:
        """Return this server's pods, the one of its name first."""
        own = [pod for pod in cluster.pods.view.find(owner(self.user.name, self.name)) if self._is_ours(pod)]
        return sorted(own, key=lambda pod: key_of(pod) != self._pod_key)

    def _is_ours(self, pod: Raw) -> bool:
        return is_ours(pod, resolve.identity(self))

    @property
    def _pod_key(self) -> Key:
        return Key(self.namespace, self.pod_name)

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
        return f"{self._get_pod_url(serving)}{self.server.base_url}"

    async def _until_serving(self, attempt: launch.Attempt, pod: Raw) -> Raw:
        """Wait for a pod of an earlier hub's start, whose events so far nobody here has heard."""
        if is_ready_to_serve(pod):
            return pod
        async with attempt.cluster.following() as feed:
            launch.follow(feed, PODS, key_of(pod))
            if feed is not None:
                await feed.recall()
            return await launch.until_serving(attempt, pod, None, feed)

    def _get_pod_url(self, pod: Raw) -> str:
        if self.get_pod_url is not None:
            url: str = self.get_pod_url(self, pod)
            return url
        host = expand_host(self.pod_connect_ip, resolve.names(self)) or _in_url(pod["status"]["podIP"])
        return f"http://{host}:{self._get_pod_port(pod)}"

    def _get_pod_port(self, pod: Raw) -> int:
        ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or ())
        return next(
            (port["containerPort"] for port in ports if port.get("name") == NOTEBOOK_PORT_NAME), self.port
        )

    # --- The cluster ---

    async def _connect(self) -> Cluster:
        return await connect(
            ConnectionSettings(
                host=self.k8s_api_host,
                ssl_ca_cert=self.k8s_api_ssl_ca_cert,
                verify_ssl=self.k8s_api_verify_ssl,
                request_timeout=self.k8s_api_request_timeout,
            ),
            namespace=self.namespace,
            component=self.component_label,
            with_events=self.events_enabled,
        )


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
