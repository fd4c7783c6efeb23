"""A spawner's access to its cluster: the calls, the views and the events, all shared with other spawners."""

from collections.abc import Hashable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from k8s_hub.claims.lookup import owners_of
from k8s_hub.claims.placement import mounted_claims
from k8s_hub.diagnosis.projection import project_claim, project_pod
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.core.errors import Conflict, NotFound
from k8s_hub.kube.core.resources import CLAIMS, PODS, Resource
from k8s_hub.kube.event_subscription import EventSubscription, EventWatch
from k8s_hub.kube.informer import Informer
from k8s_hub.kube.late_creates import LateCreates
from k8s_hub.kube.notifier import Turnstile
from k8s_hub.kube.pending_deletes import PendingDeletes
from k8s_hub.kube.pool import InformerPool
from k8s_hub.naming.ownership import SERVERNAME_ANNOTATION, USERNAME_ANNOTATION, user_id_of
from k8s_hub.objects.keys import Key, annotations_of, key_of, uid_of
from k8s_hub.objects.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One namespace of one cluster, as one configuration of the spawner sees it."""

    api: KubeApi
    #: Users' pods, by key and by `pod_index`.
    pods: Informer
    #: All claims of the namespace, by key and by `owners_of`; not started before a server needs a claim.
    claims: Informer
    #: None if the spawner does not watch events.
    events: EventWatch | None
    pending_deletes: PendingDeletes
    #: The creates of claims without a reply, by namespace, user, server and volume.
    late_claims: LateCreates
    #: For work of many servers at the same moment.
    turnstile: Turnstile

    def following(self) -> AbstractAsyncContextManager[EventSubscription | None]:
        """Subscribe to events while the body runs; None if the spawner does not watch events."""
        return nullcontext() if self.events is None else self.events.subscribe()

    async def check_watches(self, pod: Key | None, *claims: Key) -> None:
        """Open the watches again if the one that a start waits for has missed a change of its pod, else of its claims."""
        checked = [(self.pods, pod)] if pod is not None else [(self.claims, claim) for claim in claims]
        for informer, key in checked:
            if await informer.reopen_if_behind(key):
                why = f"the watch of {informer} missed a change"
                self.pods.reopen(why)
                self.claims.reopen(why)
                if self.events is not None:
                    self.events.reopen(why)

    async def delete(self, resource: Resource, obj: Raw, *, grace_seconds: int | None = None) -> bool:
        """Delete this object, but no later one with its name; return False if it was gone. Raises KubeError."""
        try:
            await self.api.delete(resource, key_of(obj), uid=uid_of(obj), grace_seconds=grace_seconds)
        except (NotFound, Conflict):
            return False
        return True

    async def whole(self, pod: Raw) -> Raw:
        """Return the whole pod, or the part that the view keeps if the pod is gone. Raises KubeError."""
        try:
            return await self.api.get(PODS, key_of(pod))
        except NotFound:
            return pod


def connection_settings(spawner: Any) -> ConnectionSettings:
    """Return the connection settings from a spawner's options."""
    return ConnectionSettings(
        host=spawner.k8s_api_host,
        ssl_ca_cert=spawner.k8s_api_ssl_ca_cert,
        verify_ssl=spawner.k8s_api_verify_ssl,
        request_timeout=spawner.k8s_api_request_timeout,
    )


class Views:
    """The namespaces whose views one spawner holds open, until it leaves or is garbage-collected."""

    def __init__(self, shared_namespace: str) -> None:
        """``shared_namespace`` holds all users' servers, so its views stay open."""
        self._shared_namespace = shared_namespace
        self._joined: set[str] = set()

    async def join(self, spawner: Any, *, with_claims: bool) -> Cluster:
        """Return the cluster, with the views of the spawner's current namespace.

        Raises ConfigurationError if no cluster is configured.
        """
        settings, namespace = connection_settings(spawner), spawner.namespace
        component, with_events = spawner.component_label, spawner.events_enabled
        self._joined.add(namespace)
        await InformerPool.for_current_loop().hold(settings, namespace, self)
        return await _cluster(
            settings,
            namespace=namespace,
            component=component,
            with_claims=with_claims,
            with_events=with_events,
        )

    async def leave(self, spawner: Any) -> None:
        """Close the views of a user's own namespace, unless another of its servers needs them."""
        settings = connection_settings(spawner)
        for namespace in self._joined - {self._shared_namespace}:
            self._joined.discard(namespace)
            await InformerPool.for_current_loop().release(settings, namespace, self)


async def _cluster(
    settings: ConnectionSettings, *, namespace: str, component: str, with_claims: bool, with_events: bool
) -> Cluster:
    """Return the shared cluster, with its views started but perhaps not filled yet.

    A hub with servers that have no claims needs no right to list claims.
    """
    pool = InformerPool.for_current_loop()
    return Cluster(
        api=await pool.api(settings),
        pods=await pool.informer(
            settings,
            PODS,
            namespace,
            label_selector=f"component={component}",
            project=project_pod,
            index=pod_index,
        ),
        claims=await pool.informer(
            settings, CLAIMS, namespace, project=project_claim, index=owners_of, start=with_claims
        ),
        events=await pool.events(settings, namespace) if with_events else None,
        pending_deletes=await pool.pending_deletes(settings),
        late_claims=await pool.late_creates(settings),
        turnstile=await pool.turnstile(settings),
    )


def server_index_key(user: str | int, servername: str) -> Hashable:
    """Return the index key of one server's pods in the view of pods, by the user's name or number."""
    return (user, servername)


def mount_index_key(user: str | int, claim: Key) -> Hashable:
    """Return the index key of one user's pods that mount a claim, in the view of pods, by the user's name or number.

    The key includes the user: all users' pods may mount one claim, and reading ten thousand would block the loop.
    """
    return ("claim", user, *claim)


def pod_index(pod: Raw) -> Iterable[Hashable]:
    """Return the index keys of a pod, by its user's name and number: its server, and each claim that it mounts."""
    annotations, namespace, user_id = annotations_of(pod), key_of(pod).namespace, user_id_of(pod)
    username, servername = annotations.get(USERNAME_ANNOTATION), annotations.get(SERVERNAME_ANNOTATION, "")
    if username is None:
        return ()
    users = (username,) if user_id is None else (username, user_id.number)
    claims = [Key(namespace, name) for name in mounted_claims(pod)]
    return (
        *(server_index_key(user, servername) for user in users),
        *(mount_index_key(user, claim) for user in users for claim in claims),
    )
