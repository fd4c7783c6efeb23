"""The namespace of one user: there before anything is created in it, and never deleted."""

import asyncio
from typing import Any

from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.obstacles import dying_namespace
from k8s_hub.kube.errors import Conflict, Forbidden, KubeError, NotFound
from k8s_hub.kube.resources import NAMESPACES
from k8s_hub.objects.keys import Key, is_dying, key_of
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.launch import Attempt, refused

LOOK_AGAIN = 1.0
"""Seconds between two looks whether a namespace is gone."""


async def ensure_namespace(attempt: Attempt, manifest: Raw) -> None:
    """Return when the namespace is there; create it if it is not.

    A hub that may not create namespaces uses those that its administrator has prepared. One that may not even look
    at them goes on: what it asks for next shows whether there is one.
    """
    key = Key("", key_of(manifest).name)
    body = {"apiVersion": NAMESPACES.api_version, "kind": NAMESPACES.kind, **manifest}
    while (refusal := await _create(attempt, body)) is not None:
        try:
            existing = await attempt.asking(lambda: attempt.cluster.api.get(NAMESPACES, key))
        except Forbidden:
            return
        except NotFound:
            if isinstance(refusal, Conflict):
                continue  # gone in between
            raise refused(attempt, refusal, NAMESPACES.kind, key.name) from refusal
        except KubeError as error:
            raise refused(attempt, error, NAMESPACES.kind, key.name) from error
        if not is_dying(existing):
            return
        attempt.tell(dying_namespace(existing, utcnow()))
        await asyncio.sleep(LOOK_AGAIN)


async def _create(attempt: Attempt, body: dict[str, Any]) -> Conflict | Forbidden | None:
    """Return None for a new namespace, else why there is no new one: perhaps because it is there."""
    try:
        await attempt.asking(lambda: attempt.cluster.api.create(NAMESPACES, None, body))
    except (Conflict, Forbidden) as refusal:
        return refusal
    except KubeError as error:
        raise refused(attempt, error, NAMESPACES.kind, key_of(body).name) from error
    return None
