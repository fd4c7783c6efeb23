"""Whether one server runs: the answer of poll(), from the view of the cluster."""

import asyncio
import logging
import math
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from k8s_hub.diagnosis.pod_life import Ended, end_in_words, is_ready_to_serve, judge_pod
from k8s_hub.kube import library
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.core.errors import KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import PODS
from k8s_hub.kube.pool import InformerPool
from k8s_hub.naming.ownership import is_ours
from k8s_hub.objects.keys import Key, is_dying, key_of, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.spawner import resolve
from k8s_hub.spawner.blueprints import Blueprints
from k8s_hub.spawner.cluster import Cluster, connect, leave, owner
from k8s_hub.spawner.run_log import RunLog
from k8s_hub.spawner.teardown import delete_later

if TYPE_CHECKING:
    from k8s_hub.kube.core.store import Entry

UNFINISHED_START = 300.0
"""Seconds that poll() waits for the cluster's word about a server whose start the hub did not survive."""

CONFIRMING = RetryPolicy(deadline=math.inf)


class Liveness(Blueprints):
    """The part of KubeSpawner that looks at the server's pod and judges it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: "A start may have created something": set before the first create, cleared when start() returned a
        #: URL or stop() saw to it that nothing is left. While it is set, poll() says None, so that the hub
        #: calls stop().
        self._may_have_created = False
        #: The uid of this server's pod, "" before its first; for subclasses and hooks, too.
        self.pod_id = ""
        #: True while start() runs, which needs the views whatever a poll() that began before it finds.
        self._is_starting = False
        #: "The hub may have died in the middle of this server's start": until a run begins in this process, or
        #: poll() has waited for the cluster's word once.
        self._may_be_unfinished = True
        #: The pod as poll() last found it alive.
        self._alive: Entry | None = None
        self._run_log = RunLog(self.log)
        #: As configured, before a hook, a profile or a saved state: what all users share is always watched.
        self._shared_namespace = self.namespace
        #: The namespaces whose views this spawner has part in.
        self._watched: set[str] = set()
        library.set_default(self._connection_settings)

    @cached_property
    def api(self) -> Any:
        """A ``kubernetes_asyncio.client.CoreV1Api`` of the configured cluster, for hooks and subclasses.

        ``api.api_client`` serves the library's other API classes.
        """
        return library.core_v1(InformerPool.for_current_loop().library(self._connection_settings))

    @property
    def _connection_settings(self) -> ConnectionSettings:
        return ConnectionSettings(
            host=self.k8s_api_host,
            ssl_ca_cert=self.k8s_api_ssl_ca_cert,
            verify_ssl=self.k8s_api_verify_ssl,
            request_timeout=self.k8s_api_request_timeout,
        )

    @property
    def _needs_claims(self) -> bool:
        """True where the spawner sees to claims; those that volumes only name are the cluster's affair."""
        return self.storage_pvc_ensure or bool(self.extra_claims)

    async def _connect(self) -> Cluster:
        self._watched.add(self.namespace)
        return await connect(
            self._connection_settings,
            namespace=self.namespace,
            component=self.component_label,
            with_claims=self._needs_claims,
            with_events=self.events_enabled,
            holder=self,
        )

    async def _leave(self) -> None:
        """Stop watching a namespace that has no server any more; the one that all users share is always watched."""
        for namespace in self._watched - {self._shared_namespace}:
            self._watched.discard(namespace)
            await leave(self._connection_settings, namespace=namespace, holder=self)

    async def poll(self) -> int | None:
        """Return None while the server runs, may run or may come to run; else its exit code.

        Never an exception and never a guess: the hub forgets a server that poll() gives up. What is not known,
        for whatever reason, is None. A pod that has ended is removed in the background, because the hub will not
        call stop() for it.
        """
        code = None
        try:
            code = await self._exit_code()
            if code is not None and not self._is_starting:
                await self._leave()
        except Exception:  # noqa: BLE001 - it is logged there
            self._run_log.tell_poll_failure(self._log_name)
        return code

    async def _exit_code(self) -> int | None:
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
                await self._follow(cluster, pod)
                return None

    def _without_pod(self) -> int:
        """Return the exit code of a server that never ran, or whose pod somebody has removed."""
        if self.server is None:
            return 0
        if self._was_being_started:
            how = "the hub died in the middle of its start, before there was a pod"
        elif self.server.ip:
            how = "its pod was removed by somebody else"
        else:
            return 1  # its start has failed, for a reason that is told, before there was a pod
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

    async def _follow(self, cluster: Cluster, pod: Raw) -> None:
        """Know the pod again whatever its user is called later, and tell the hub an address that is another now.

        A machine that was restarted gives its pods other addresses. The hub's routes follow at its next check.
        """
        self.pod_id = uid_of(pod)
        if self.server is None or not self.server.ip or not is_ready_to_serve(pod):
            return
        address = await self._address(cluster, pod)
        if address is None:
            return
        parts = urlsplit(address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if (parts.scheme, parts.hostname, port) == (self.server.proto, self.server.ip, self.server.port):
            return
        self.log.info("%s: the server listens at %s now, not at %s", key_of(pod), address, self.server.host)
        self.server.proto, self.server.ip, self.server.port = parts.scheme, parts.hostname, port
        self.user.db.commit()

    async def _address(self, cluster: Cluster, pod: Raw) -> str | None:
        """Return where the server of a pod listens; None where nobody can say.

        A hook or a template that fails may neither end a poll nor keep the hub from booting: it is told, and the
        hub's address stays.
        """
        try:
            async with asyncio.timeout(self.k8s_api_request_timeout):
                address = self._address_of(await self._as_hooks_see_it(cluster, pod))
        except (KubeError, TimeoutError) as error:
            self.log.debug("%s: its address is not known: %s", key_of(pod), error)
        except Exception:
            self.log.exception("%s: its address is not known", key_of(pod))
        else:
            return address
        return None

    async def _as_hooks_see_it(self, cluster: Cluster, pod: Raw) -> Raw:
        """Return the whole pod where an administrator's code tells its address, else what is kept of it.

        One that has gone meanwhile stays what was kept of it. Raises KubeError where the cluster does not say.
        """
        if self.get_pod_url is None and not self._overrides("_get_pod_url"):
            return pod
        try:
            return await cluster.api.get(PODS, key_of(pod))
        except NotFound:
            return pod

    def _remove_ended(self, cluster: Cluster, pod: Raw, reason: str) -> None:
        # A pod that somebody drains has its own time to end, which another delete would cut short.
        if self.delete_stopped_pods and not is_dying(pod):
            delete_later(cluster, pod, self.delete_grace_period, f"its server ended: {reason}")

    def _pod_in_view(self, cluster: Cluster) -> Raw | None:
        """Return this server's pod by its name, else by its annotations: names may have changed since."""
        return next(iter(self._pods_in_view(cluster)), None)

    def _pods_in_view(self, cluster: Cluster) -> list[Raw]:
        """Return this server's pods, the one of its name first."""
        view = cluster.pods.view
        named, annotated = view.get(self._pod_key), view.find(owner(self.user.name, self.name))
        others = (pod for pod in annotated if key_of(pod) != self._pod_key)
        return [pod for pod in (named, *others) if pod is not None and self._is_ours(pod)]

    def _is_ours(self, pod: Raw) -> bool:
        """Tell a pod of this server by its annotations, or as the one that was, before its user was renamed."""
        return is_ours(pod, resolve.identity(self)) or (bool(self.pod_id) and uid_of(pod) == self.pod_id)

    @property
    def _pod_key(self) -> Key:
        return Key(self.namespace, self.pod_name)
