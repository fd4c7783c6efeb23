"""What the API server allowed before: a refusal of that is not believed at once.

An API server that has just started answers before it has read the roles and the service accounts, and refuses for
some seconds what it allows afterwards. Nobody's start has to fail for that.
"""

import asyncio
import re

from k8s_hub.kube.errors import Forbidden, KubeError, Unavailable
from k8s_hub.kube.resources import Resource

DOUBT = 30.0
"""Seconds for which a refusal may be a restarted API server's; a right that was taken away is then believed gone."""

_BY_ROLE = re.compile(r"\bcannot \w+ resource\b")
# Its admission, not its roles, is not there yet; no user's fault either.
_NOT_READY = re.compile("not yet ready to handle request")


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
        if _NOT_READY.search(error.message) or self._is_in_doubt(error, (verb, resource, namespace)):
            return Unavailable.of(error)
        return error

    def _is_in_doubt(self, error: Forbidden, asked: tuple[str, Resource, str | None]) -> bool:
        if asked not in self._refused_since or not (error.code == 401 or _BY_ROLE.search(error.message)):
            return False
        now = asyncio.get_running_loop().time()
        since = self._refused_since[asked]
        if since is None:
            self._refused_since[asked] = now
            return True
        return now - since < DOUBT
