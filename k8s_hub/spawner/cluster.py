"""What a spawner has of its cluster: the calls, the views, the events, all of it shared with its siblings."""

from collections.abc import Hashable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from k8s_hub.claims.lookup import usernames_of
from k8s_hub.diagnosis.projection import project_claim, project_pod
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.events import EventWatch, Feed
from k8s_hub.kube.informer import Informer
from k8s_hub.kube.pool import InformerPool
from k8s_hub.kube.resources import CLAIMS, PODS
from k8s_hub.kube.undelivered import UndeliveredDeletes
from k8s_hub.naming.ownership import SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import annotations_of
from k8s_hub.objects.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One namespace of one cluster, as one configuration of the spawner sees it."""

    api: KubeApi
    #: Users' pods, found by key and by `owner`.
    pods: Informer
    #: All claims of the namespace, found by key and by user name.
    claims: Informer
    #: None where events are not watched.
    events: EventWatch | None
    undelivered: UndeliveredDeletes

    def following(self) -> AbstractAsyncContextManager[Feed | None]:
        """Hear the events of what the feed is told to follow, while inside; None where events are not watched."""
        return nullcontext() if self.events is None else self.events.following()


async def connect(
    settings: ConnectionSettings, *, namespace: str, component: str, with_events: bool
) -> Cluster:
    """Return the shared cluster, its views started but perhaps not filled yet.

    Raises ConfigurationError where no cluster is configured.
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
            index=owners_of,
        ),
        claims=await pool.informer(settings, CLAIMS, namespace, project=project_claim, index=usernames_of),
        events=await pool.events(settings, namespace) if with_events else None,
        undelivered=await pool.undelivered(settings),
    )


def owner(username: str, servername: str) -> Hashable:
    """Return what the view of pods files the pods of one server under."""
    return (username, servername)


def owners_of(pod: Raw) -> Iterable[Hashable]:
    """Return what an index of pods files this one under: the server that it is annotated for."""
    annotations = annotations_of(pod)
    username = annotations.get(USERNAME_ANNOTATION)
    return () if username is None else (owner(username, annotations.get(SERVERNAME_ANNOTATION, "")),)
