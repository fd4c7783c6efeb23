"""The Secrets and Services that a pod owns: a start creates them after the pod, and they go with it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from k8s_hub.diagnosis.obstacles import foreign_object, leftover
from k8s_hub.kube.core.resources import Resource
from k8s_hub.naming.ownership import SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import annotations_of, is_terminating, metadata_of, owned_by, reference_to_pod
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.attempt import Attempt, delete
from k8s_hub.spawner.start import create_or_find

LEFTOVER_POLL = 0.5
"""Seconds between two checks whether a leftover is gone; the spawner does not watch Secrets and Services."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedObject:
    """One object that a start creates after the pod and that the pod owns."""

    resource: Resource
    manifest: Raw


async def create_owned_objects(attempt: Attempt, pod: Raw, objects: Sequence[OwnedObject]) -> None:
    """Create the objects with the new pod as their owner, so that the cluster deletes them with it.

    Deletes leftovers of an earlier pod of this server. Leaves another owner's object and fails the start.
    """
    for owned in objects:
        await create_or_find(
            attempt,
            owned.resource,
            _complete(owned, pod, attempt),
            on_older=partial(_delete_leftover, attempt, owned.resource),
            foreign=partial(foreign_object, kind=owned.resource.kind),
        )


def _complete(owned: OwnedObject, pod: Raw, attempt: Attempt) -> Raw:
    """Return the complete manifest of this attempt, with its owner reference and default identity annotations."""
    identity, resource, manifest = attempt.identity, owned.resource, owned.manifest
    servername = {SERVERNAME_ANNOTATION: identity.servername} if identity.servername else {}
    metadata = {
        **metadata_of(manifest),
        "namespace": identity.namespace,
        "annotations": {USERNAME_ANNOTATION: identity.username, **servername, **annotations_of(manifest)},
    }
    typed = {"apiVersion": resource.api_version, "kind": resource.kind, **manifest, "metadata": metadata}
    return attempt.marked(owned_by(typed, reference_to_pod(pod)))


async def _delete_leftover(attempt: Attempt, resource: Resource, existing: Raw) -> None:
    """Delete a leftover of an earlier pod of this server, or pause if its deletion is under way."""
    if not is_terminating(existing):
        await delete(attempt, resource, existing)
        return
    attempt.emit(leftover(existing, resource.kind))
    await asyncio.sleep(LEFTOVER_POLL)
