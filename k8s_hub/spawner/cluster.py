"""What a spawner has of its cluster: the calls, the views, the events, all of it shared with its siblings."""

from collections.abc import Hashable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from k8s_hub.claims.lookup import usernames_of
from k8s_hub.claims.placement import mounted_claims
from k8s_hub.diagnosis.projection import project_claim, project_pod
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.core.errors import Conflict, NotFound
from k8s_hub.kube.core.resources import CLAIMS, PODS, Resource
from k8s_hub.kube.event_subscription import EventSubscription, EventWatch
from k8s_hub.kube.informer import Informer
from k8s_hub.kube.pending_deletes import PendingDeletes
from k8s_hub.kube.pool import InformerPool
from k8s_hub.naming.ownership import SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import Key, annotations_of, key_of, uid_of
from k8s_hub.objects.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One namespace of one cluster, as one configuration of the spawner sees it."""

    api: KubeApi
    #: Users' pods, found by key and by `owner`.
    pods: Informer
    #: All claims of the namespace, found by key and by user name; not started before a server needs a claim.
    claims: Informer
    #: None where events are not watched.
    events: EventWatch | None
    pending_deletes: PendingDeletes

    def following(self) -> AbstractAsyncContextManager[EventSubscription | None]:
        """Get the events of what the feed is subscribed to, while inside; None where events are not watched."""
        return nullcontext() if self.events is None else self.events.subscribe()

    async def delete(self, resource: Resource, obj: Raw, *, grace_seconds: int | None = None) -> bool:
        """Delete this object, and no later one of its name; return False if it was gone already. Raises KubeError."""
        try:
            await self.api.delete(resource, key_of(obj), uid=uid_of(obj), grace_seconds=grace_seconds)
        except (NotFound, Conflict):
            return False
        return True

    async def whole(self, pod: Raw) -> Raw:
        """Return all of a pod, of which the view keeps a part; that part of one that has gone. Raises KubeError."""
        try:
            return await self.api.get(PODS, key_of(pod))
        except NotFound:
            return pod


def connection_settings(spawner: Any) -> ConnectionSettings:
    """Return how a spawner's options say that the cluster is reached."""
    return ConnectionSettings(
        host=spawner.k8s_api_host,
        ssl_ca_cert=spawner.k8s_api_ssl_ca_cert,
        verify_ssl=spawner.k8s_api_verify_ssl,
        request_timeout=spawner.k8s_api_request_timeout,
    )


class Views:
    """The namespaces whose views one spawner has part in: they stay for its sake, until it leaves or is forgotten."""

    def __init__(self, shared_namespace: str) -> None:
        """``shared_namespace``, where all users' servers are, is always watched."""
        self._shared_namespace = shared_namespace
        self._joined: set[str] = set()

    async def join(
        self,
        settings: ConnectionSettings,
        *,
        namespace: str,
        component: str,
        with_claims: bool,
        with_events: bool,
    ) -> Cluster:
        """Return the cluster, with the views of the namespace.

        Raises ConfigurationError where no cluster is configured.
        """
        self._joined.add(namespace)
        await InformerPool.for_current_loop().hold(settings, namespace, self)
        return await _cluster(
            settings,
            namespace=namespace,
            component=component,
            with_claims=with_claims,
            with_events=with_events,
        )

    async def leave(self, settings: ConnectionSettings) -> None:
        """Close the views of a user's own namespace, unless another server in it needs them."""
        for namespace in self._joined - {self._shared_namespace}:
            self._joined.discard(namespace)
            await InformerPool.for_current_loop().release(settings, namespace, self)


async def _cluster(
    settings: ConnectionSettings, *, namespace: str, component: str, with_claims: bool, with_events: bool
) -> Cluster:
    """Return the shared cluster, its views started but perhaps not filled yet.

    A hub whose servers have no claims needs no right to list them.
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
            index=found_by,
        ),
        claims=await pool.informer(
            settings, CLAIMS, namespace, project=project_claim, index=usernames_of, start=with_claims
        ),
        events=await pool.events(settings, namespace) if with_events else None,
        pending_deletes=await pool.pending_deletes(settings),
    )


def owner(username: str, servername: str) -> Hashable:
    """Return what the view of pods files the pods of one server under."""
    return (username, servername)


def mounting(username: str, claim: Key) -> Hashable:
    """Return what the view of pods files the pods of one user that mount a claim under.

    By user, because one claim may be in the pods of all users, and reading ten thousand holds the loop.
    """
    return ("claim", username, *claim)


def found_by(pod: Raw) -> Iterable[Hashable]:
    """Return what an index of pods files this one under: the server that it is annotated for, and its claims."""
    annotations, namespace = annotations_of(pod), key_of(pod).namespace
    username = annotations.get(USERNAME_ANNOTATION)
    if username is None:
        return ()
    claims = (mounting(username, Key(namespace, name)) for name in mounted_claims(pod))
    return (owner(username, annotations.get(SERVERNAME_ANNOTATION, "")), *claims)
