"""Deletes one orphan by its uid, judged again right before by what hub and cluster say now."""

from collections.abc import Awaitable, Callable

from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.core.errors import Conflict, NotFound
from k8s_hub.objects.keys import is_terminating, uid_of
from k8s_hub.orphans.plan import Facts, Orphan, judge

GONE = "it is already gone"
REPLACED = "another object has its name now"


async def remove(api: KubeApi, orphan: Orphan, read_facts: Callable[[], Awaitable[Facts]]) -> str | None:
    """Return None once the API server accepted the deletion, else why the object was kept. Raises KubeError.

    A pod gets its own grace period.
    """
    try:
        obj = await api.get(orphan.resource, orphan.key)
        if uid_of(obj) != orphan.uid:
            return REPLACED
        if is_terminating(obj):
            return "it is already being deleted"
        again = judge(orphan.resource, obj, await read_facts())
        if again is None:
            return "its server runs, starts or stops now"
        if again.doubt is None:
            await api.delete(orphan.resource, orphan.key, uid=orphan.uid)
    except NotFound:
        return GONE
    except Conflict:
        return REPLACED
    return again.doubt
