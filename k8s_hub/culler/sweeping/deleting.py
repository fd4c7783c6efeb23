"""Users are deleted who have no server left, where that is ordered.

No volume is deleted here, nor asked to be: what the hub's spawner does with the volumes of a user who is deleted,
or of a named server that is removed, is the spawner's setting (``KubeSpawner.delete_pvc``).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from k8s_hub.culler.judging.decider import Decider
from k8s_hub.culler.sweeping.partners import Hub
from k8s_hub.culler.sweeping.patience import patiently
from k8s_hub.hub.errors import NotFound
from k8s_hub.hub.users import User

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleting:
    """Deletes users, one by one."""

    hub: Hub
    decider: Decider
    now: Callable[[], datetime]

    async def delete(self, user: User) -> bool:
        """Delete a user whose servers are gone, if it is time for it; return whether it was."""
        verdict = self.decider.decide_user(user, self.now())
        if not verdict.culls:
            return False
        is_deleted = await patiently(lambda: self._look_again_and_delete(user))
        if is_deleted:
            log.info("user %s: deleted: %s", user.name, verdict.reason)
        return is_deleted

    async def _look_again_and_delete(self, user: User) -> bool:
        try:
            fresh = await self.hub.user(user.name)
            if fresh.servers != ():
                return False
            # Stopping a server counts as its user's activity, so it tells something only where none was stopped.
            if not user.servers and not self.decider.decide_user(fresh, self.now()).culls:
                return False
            await self.hub.delete_user(user.name)
        except NotFound:
            return False
        return True
