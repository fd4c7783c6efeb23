"""The namespace of one user: the spawner makes sure that it exists, and never deletes it."""

import asyncio
from itertools import chain
from typing import Any

from k8s_hub.diagnosis.obstacles import terminating_namespace
from k8s_hub.kube.core.errors import Conflict, Forbidden, KubeError, NotFound
from k8s_hub.kube.core.resources import NAMESPACES
from k8s_hub.manifests.metadata import USERNAME_LABEL
from k8s_hub.naming import slugs
from k8s_hub.naming.ownership import ServerIdentity, is_of_hub
from k8s_hub.objects.keys import Key, is_terminating, key_of, labels_of, metadata_of
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.attempt import Attempt, start_failure
from k8s_hub.spawner.cluster import Cluster
from k8s_hub.spawner.database import HubDatabase

NAMESPACE_POLL = 1.0
"""Seconds between two checks whether a namespace is gone."""


async def ensure_namespace(attempt: Attempt, manifest: Raw) -> Raw | None:
    """Return when the namespace exists; if it is missing, create it with labels that name its owner.

    Returns an existing namespace if the hub could have created it: it may belong to somebody else. Returns None
    for a new namespace. Also returns None if the hub may not create namespaces: it then has rights only in those
    that its administrator prepared. A hub that may not read namespaces continues: its next request shows whether
    the namespace exists.
    """
    key = Key("", key_of(manifest).name)
    body = _labelled(manifest, attempt.identity)
    while (refusal := await _create(attempt, body)) is not None:
        is_prepared = isinstance(refusal, Forbidden)
        try:
            existing = await attempt.asking(lambda: attempt.cluster.api.get(NAMESPACES, key))
        except Forbidden:
            return None if is_prepared else {"metadata": {"name": key.name}}
        except NotFound:
            if not is_prepared:
                continue  # gone in between
            raise start_failure(attempt, refusal, NAMESPACES.kind, key.name) from refusal
        except KubeError as error:
            raise start_failure(attempt, error, NAMESPACES.kind, key.name) from error
        if not is_terminating(existing):
            return None if is_prepared else existing
        attempt.emit(terminating_namespace(existing))
        await asyncio.sleep(NAMESPACE_POLL)
    return None


def may_use(namespace: Raw | None, attempt: Attempt, database: HubDatabase) -> bool:
    """Tell whether the hub may put servers into an existing namespace; None is one that is certainly this hub's."""
    if namespace is None:
        return True
    others = database.states_of_other_servers().values()
    return any(state.namespace == attempt.identity.namespace for state in others) or _is_of_this_hub(
        namespace, attempt.cluster, attempt.identity
    )


def _is_of_this_hub(namespace: Raw, cluster: Cluster, identity: ServerIdentity) -> bool:
    """Tell whether the namespace, or a pod or claim in it, names this hub: KubeSpawner's namespaces name no hub."""
    views = (cluster.claims.view, cluster.pods.view)
    inside = filter(None, (view.get(key) for view in views for key in view))
    return any(is_of_hub(obj, identity) for obj in chain([namespace], inside))


def _labelled(manifest: Raw, identity: ServerIdentity) -> dict[str, Any]:
    labels = {
        USERNAME_LABEL: slugs.label(identity.username),
        **identity.release_labels,
        **labels_of(manifest),
    }
    typed = {"apiVersion": NAMESPACES.api_version, "kind": NAMESPACES.kind, **manifest}
    return {**typed, "metadata": {**metadata_of(manifest), "labels": labels}}


async def _create(attempt: Attempt, body: dict[str, Any]) -> Conflict | Forbidden | None:
    """Return None for a new namespace, else the error that prevented it: perhaps the namespace exists."""
    try:
        await attempt.asking(lambda: attempt.cluster.api.create(NAMESPACES, None, body))
    except (Conflict, Forbidden) as refusal:
        return refusal
    except KubeError as error:
        raise start_failure(attempt, error, NAMESPACES.kind, key_of(body).name) from error
    return None
