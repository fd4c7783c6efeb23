"""What the API server allowed before: a refusal of that is not believed at once.

An API server that has just started answers before it has read the roles and the service accounts, and refuses for
some seconds what it allows afterwards. Nobody's start has to fail for that.
"""

import asyncio

from k8s_hub.diagnosis.refusals import Refusal, is_admission_not_ready, lacks_right
from k8s_hub.kube.core.errors import Forbidden, KubeError, Unavailable
from k8s_hub.kube.core.resources import Resource

DOUBT = 30.0
"""Seconds for which a refusal may be a restarted API server's; a right that was taken away is then believed gone."""


class Rights:
    """Owned by the calls of one account: what was allowed, and since when it is refused."""

    def __init__(self) -> None:
        #: When the refusals began that are under way, in the loop's time; None while there are none.
        self._refused_since: dict[tuple[str, Resource, str | None], float | None] = {}

    def note_success(self, verb: str, resource: Resource, namespace: str | None) -> None:
        """Remember what is allowed."""
        self._refused_since[verb, resource, namespace] = None

    def judge(self, error: KubeError, verb: str, resource: Resource, namespace: str | None) -> KubeError:
        """Return what the error means: `Unavailable` for a refusal that may pass by itself."""
        if not isinstance(error, Forbidden):
            return error
        status = error.status or {"code": error.code, "message": error.message}
        refusal = Refusal.of(status, resource.kind, name="")
        if is_admission_not_ready(refusal) or self._is_in_doubt(refusal, (verb, resource, namespace)):
            return Unavailable.of(error)
        return error

    def _is_in_doubt(self, refusal: Refusal, asked: tuple[str, Resource, str | None]) -> bool:
        if asked not in self._refused_since or not lacks_right(refusal):
            return False
        now = asyncio.get_running_loop().time()
        since = self._refused_since[asked]
        if since is None:
            self._refused_since[asked] = now
            return True
        return now - since < DOUBT
