"""Users are deleted who have no server left, where that is ordered.

No volume is deleted here, nor asked to be: what the hub's spawner does with the volumes of a user who is deleted,
or of a named server that is removed, is the spawner's setting (``KubeSpawner.delete_pvc``).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from k8s_hub.culler import needs
from k8s_hub.culler.judging.decider import Decider
from k8s_hub.culler.judging.decision import UserDecision
from k8s_hub.culler.sweeping.partners import Hub
from k8s_hub.culler.sweeping.patience import patiently
from k8s_hub.culler.sweeping.stopping import hidden_from
from k8s_hub.hub.errors import NotFound
from k8s_hub.hub.users import User

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleting:
    """Deletes users, one by one."""

    hub: Hub
    decider: Decider
    now: Callable[[], datetime]

    async def delete(self, decision: UserDecision) -> bool:
        """Delete a user, if it is still time for it; return whether that was done. Raise HubError where it cannot be."""
        is_deleted = await patiently(lambda: self._look_again_and_delete(decision.user))
        if is_deleted:
            log.info("%s: deleted: %s", decision.subject, decision.verdict.reason)
        return is_deleted

    async def _look_again_and_delete(self, user: User) -> bool:
        fresh = await self._found(user)
        if fresh is None or fresh.servers != ():
            return False
        # Stopping a server counts as its user's activity, so it tells something only where none was stopped.
        if not user.servers and not self.decider.decide_user(fresh, self.now()).verdict.culls:
            return False
        try:
            await self.hub.delete_user(user.name)
        except NotFound as refusal:
            if await self._found(user) is None:
                return False
            raise hidden_from(refusal, f"user {user.name}", needs.DELETE_USERS) from refusal
        return True

    async def _found(self, user: User) -> User | None:
        try:
            return await self.hub.user(user.name)
        except NotFound:
            return None
