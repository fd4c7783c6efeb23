"""What a server needs beside its pod: Secrets and Services that come after the pod and go with it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from k8s_hub.diagnosis.obstacles import foreign_object, leftover
from k8s_hub.kube.core.errors import Conflict, KubeError, NotFound
from k8s_hub.kube.core.resources import Resource
from k8s_hub.naming.ownership import (
    SERVERNAME_ANNOTATION,
    USERNAME_ANNOTATION,
    Relation,
    marked,
    relation,
)
from k8s_hub.objects.keys import Key, annotations_of, key_of, metadata_of, owned_by, reference_to_pod, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.failures import SpawnFailed
from k8s_hub.spawner.launch import Attempt, refused

LOOK_AGAIN = 0.5
"""Seconds between two looks whether a leftover is gone; nobody watches Secrets and Services."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """One object to be created after the pod, and owned by it."""

    resource: Resource
    manifest: Raw


async def create_companions(attempt: Attempt, pod: Raw, companions: Sequence[Companion]) -> None:
    """Create the objects, owned by the pod that was just created, so that they go when it goes.

    What an earlier pod of this server left behind makes room; another's object stays, and the start fails.
    """
    for companion in companions:
        await _create(attempt, companion.resource, _owned(companion, pod, attempt))


def _owned(companion: Companion, pod: Raw, attempt: Attempt) -> Raw:
    """Return the manifest as this attempt's: complete, with its owner, and whose it is if it does not say so."""
    identity, resource, manifest = attempt.identity, companion.resource, companion.manifest
    servername = {SERVERNAME_ANNOTATION: identity.servername} if identity.servername else {}
    metadata = {
        **metadata_of(manifest),
        "namespace": identity.namespace,
        "annotations": {USERNAME_ANNOTATION: identity.username, **servername, **annotations_of(manifest)},
    }
    typed = {"apiVersion": resource.api_version, "kind": resource.kind, **manifest, "metadata": metadata}
    return marked(owned_by(typed, reference_to_pod(pod)), attempt.mark)


async def _create(attempt: Attempt, resource: Resource, body: Raw) -> None:
    api, key = attempt.cluster.api, attempt.key(key_of(body).name)
    while True:
        try:
            await attempt.asking(lambda: attempt.creates.run(api.create(resource, key.namespace, body)))
        except Conflict:
            if not await _is_there(attempt, resource, key):
                continue
        except KubeError as error:
            raise refused(attempt, error, resource.kind, key.name) from error
        return


async def _is_there(attempt: Attempt, resource: Resource, key: Key) -> bool:
    """True if the object of the name is this attempt's after all; False once it has made room."""
    try:
        existing = await attempt.asking(lambda: attempt.cluster.api.get(resource, key))
    except NotFound:
        return False
    except KubeError as error:
        raise refused(attempt, error, resource.kind, key.name) from error
    match relation(existing, attempt.identity, attempt.mark):
        case Relation.THIS_ATTEMPT:
            return True
        case Relation.FOREIGN:
            raise SpawnFailed(foreign_object(existing, resource.kind))
        case Relation.OLDER:
            await _delete(attempt, resource, existing)
        case Relation.DYING:
            attempt.tell(leftover(existing, resource.kind))
            await asyncio.sleep(LOOK_AGAIN)
    return False


async def _delete(attempt: Attempt, resource: Resource, obj: Raw) -> None:
    key, uid = key_of(obj), uid_of(obj)
    try:
        await attempt.asking(lambda: attempt.cluster.api.delete(resource, key, uid=uid))
    except (NotFound, Conflict):
        return  # gone already
    except KubeError as error:
        raise refused(attempt, error, resource.kind, key.name) from error
