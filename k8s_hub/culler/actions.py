"""Stop one server or delete one user, after another look at it."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from k8s_hub.culler.core import needs
from k8s_hub.culler.core.decision import Action, Decision, UserDecision
from k8s_hub.culler.core.policy import Cause, facts_of
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.event_bus import DecisionListener
from k8s_hub.culler.outages import Outages
from k8s_hub.culler.probe import ServerProbe
from k8s_hub.culler.state import StateStore
from k8s_hub.culler.throttling import retry
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.errors import HubForbidden, HubNotFound
from k8s_hub.hub.users import Server, User

log = logging.getLogger(__name__)


def unstopped(decision: Decision, on_decision: DecisionListener) -> "Outcome":
    """Log and emit the decision about a server that this sweep does not stop."""
    action, level = (
        (Action.WOULD_STOP, logging.INFO) if decision.verdict.culls else (Action.KEPT, logging.DEBUG)
    )
    log.log(level, "%s", decision.sentence())
    on_decision(decision, action)
    return Outcome(action=action, decision=decision)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result for one server, with the last decision about it."""

    action: Action
    decision: Decision
    seconds: float | None = None  # the duration of the stop request; None: there was none


def hidden_from(refusal: HubNotFound, what: str, scope: str) -> HubForbidden:
    """Return the error for a 404 about an object that the hub lists: the scope does not include it."""
    return HubForbidden(
        f"The API token lacks the scope {scope} for {what}: the hub lists it, but {refusal}",
        code=refusal.code,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """Stops one server, or deletes one user, at a time."""

    hub: HubApi
    decider: Decider
    now: Callable[[], datetime]
    outages: Outages
    store: StateStore | None
    probe: ServerProbe | None
    remove_named: bool  # also remove named servers from the hub

    # --- Servers ---

    async def stop(self, decision: Decision) -> Outcome:
        """Decide once more, and stop the server if it is still due; raise HubError if that fails."""
        outcome = await retry(lambda: self._look_again_and_stop(decision))
        told = outcome.decision
        match outcome.action:
            case Action.STOPPED | Action.STOPPING:
                log.info("%s", told.sentence("stopped"))
            case Action.KEPT:
                log.info("%s", told.sentence("kept: no longer due when the culler looked again"))
            case _:
                log.debug("%s: not stopped: already gone", told.subject)
        return outcome

    async def _look_again_and_stop(self, decision: Decision) -> Outcome:
        """The listing is stale by now: read the user again right before the stop."""
        server = decision.facts.server
        work = None
        if self.probe is not None and decision.verdict.cause is Cause.IDLE:
            work = await self.probe.work(server)  # the answer can keep it running
        found = await self._found(server)
        if found is None:
            return Outcome(action=Action.GONE, decision=decision)
        fresh, user = found
        now = self.now()
        facts = facts_of(fresh, user, self.store, work if fresh.started == server.started else None)
        decision = self.outages.held_back(await self.decider.decide(facts, now), now, self.decider.notice)
        if not decision.verdict.culls:
            return Outcome(action=Action.KEPT, decision=decision)
        return await self._stop(decision)

    async def _found(self, server: Server) -> tuple[Server, User] | None:
        """Read the server and its user from the hub; None: the server is gone."""
        user = await self._user(server.user)
        fresh = None if user is None else user.server(server.name)
        return None if user is None or fresh is None else (fresh, user)

    async def _stop(self, decision: Decision) -> Outcome:
        clock = asyncio.get_running_loop().time
        begun = clock()
        server = decision.facts.server
        remove = bool(server.name) and self.remove_named
        try:
            is_gone = await self.hub.stop_server(server.user, server.name, remove=remove)
        except HubNotFound as refusal:
            if await self._found(server) is None:
                return Outcome(action=Action.GONE, decision=decision)
            raise hidden_from(refusal, str(server), needs.STOP) from refusal
        action = Action.STOPPED if is_gone else Action.STOPPING
        return Outcome(action=action, decision=decision, seconds=clock() - begun)

    # --- Users ---

    async def delete(self, decision: UserDecision) -> bool:
        """Decide once more, and delete the user if still due; return whether it was deleted. Raise HubError if that fails."""
        is_deleted = await retry(lambda: self._look_again_and_delete(decision.user))
        if is_deleted:
            log.info("%s", decision.sentence("deleted"))
        return is_deleted

    async def _look_again_and_delete(self, user: User) -> bool:
        fresh = await self._user(user.name)
        is_grace = self.outages.grace_until(self.now()) is not None
        if fresh is None or fresh.servers != () or is_grace:
            return False
        # The culler's stop counts as the user's activity, so decide again only if the user had no server.
        if not user.servers and not self.decider.decide_user(fresh, self.now()).verdict.culls:
            return False
        try:
            await self.hub.delete_user(user.name)
        except HubNotFound as refusal:
            if await self._user(user.name) is None:
                return False
            raise hidden_from(refusal, f"user {user.name}", needs.DELETE_USERS) from refusal
        return True

    async def _user(self, name: str) -> User | None:
        """Read a user from the hub; None: the user is gone."""
        try:
            user = await self.hub.user(name)
        except HubNotFound:
            return None
        self.outages.answered(self.now())
        return user
