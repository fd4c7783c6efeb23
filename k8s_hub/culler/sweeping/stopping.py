"""One server is stopped: looked at once more, by itself and by the hub, right before each attempt."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from k8s_hub.culler import needs
from k8s_hub.culler.judging.decider import Decider
from k8s_hub.culler.judging.decision import Action, Decision
from k8s_hub.culler.judging.facts import Work, facts_of
from k8s_hub.culler.judging.policy import Cause
from k8s_hub.culler.sweeping.outages import Outages
from k8s_hub.culler.sweeping.partners import Hub, Memory, Servers
from k8s_hub.culler.sweeping.patience import patiently
from k8s_hub.hub.errors import Forbidden, NotFound
from k8s_hub.hub.users import Server, User

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one server, and the last decision about it."""

    action: Action
    decision: Decision
    seconds: float | None = None  # that the hub took to answer the stop; None: it was not told to


def hidden_from(refusal: NotFound, what: str, scope: str) -> Forbidden:
    """Return the error that a 404 means for something that the hub shows: the scope does not include it."""
    return Forbidden(
        f"The API token lacks the scope {scope} for {what}: the hub shows it, and {refusal}",
        code=refusal.code,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """Stops servers, one by one."""

    hub: Hub
    decider: Decider
    now: Callable[[], datetime]
    outages: Outages
    memory: Memory | None
    servers: Servers | None
    remove_named: bool  # forget named servers, not only stop them

    async def stop(self, decision: Decision) -> Outcome:
        """Stop a server, if it is still to be stopped; raise HubError where that cannot be done."""
        outcome = await patiently(lambda: self._look_again_and_stop(decision))
        server, reason = outcome.decision.facts.server, outcome.decision.verdict.reason
        match outcome.action:
            case Action.STOPPED | Action.STOPPING:
                log.info("%s: stopped: %s", server, reason)
            case Action.KEPT:
                log.info("%s: kept after all: %s", server, reason)
            case _:
                log.debug("%s: already gone", server)
        return outcome

    async def _look_again_and_stop(self, decision: Decision) -> Outcome:
        """The list is seconds or minutes old by now; the hub's word is the last before the stop."""
        server = decision.facts.server
        work = await self._work(server, decision.verdict.cause)
        found = await self._found(server)
        if found is None:
            return Outcome(action=Action.GONE, decision=decision)
        fresh, user = found
        decision = await self._decide(fresh, user, work if fresh.started == server.started else None)
        if not decision.verdict.culls:
            return Outcome(action=Action.KEPT, decision=decision)
        return await self._stop(decision)

    async def _found(self, server: Server) -> tuple[Server, User] | None:
        """Return the server and its user as the hub has them now; None where it is gone."""
        try:
            user = await self.hub.user(server.user)
        except NotFound:
            return None
        self.outages.heard(self.now())
        fresh = user.server(server.name)
        return None if fresh is None else (fresh, user)

    async def _work(self, server: Server, cause: Cause) -> Work | None:
        """Ask a server what it runs, where that can save it."""
        return await self.servers.work(server) if self.servers is not None and cause is Cause.IDLE else None

    async def _decide(self, server: Server, user: User, work: Work | None) -> Decision:
        now = self.now()
        decision = await self.decider.decide(facts_of(server, user, self.memory, work), now)
        return self.outages.held_back(decision, now)

    async def _stop(self, decision: Decision) -> Outcome:
        clock = asyncio.get_running_loop().time
        begun = clock()
        server = decision.facts.server
        remove = bool(server.name) and self.remove_named
        try:
            is_gone = await self.hub.stop_server(server.user, server.name, remove=remove)
        except NotFound as refusal:
            if await self._found(server) is None:
                return Outcome(action=Action.GONE, decision=decision)
            raise hidden_from(refusal, str(server), needs.STOP) from refusal
        action = Action.STOPPED if is_gone else Action.STOPPING
        return Outcome(action=action, decision=decision, seconds=clock() - begun)
