"""Those who listen are told what became of each server and user, and cost none its verdict."""

import logging
from collections.abc import Callable
from typing import TypeVar

from k8s_hub.culler.judging.decision import Action, Decision, UserDecision
from k8s_hub.culler.sweeping.partners import Sink
from k8s_hub.culler.sweeping.stopping import Outcome

log = logging.getLogger(__name__)

D = TypeVar("D", Decision, UserDecision)


def unstopped(decision: Decision, tell: Sink) -> Outcome:
    """Tell of a server that is not told to stop."""
    server, reason = decision.facts.server, decision.verdict.reason
    if decision.verdict.culls:
        action = Action.WOULD_STOP
        log.info("%s would be stopped: it %s", server, reason)
    else:
        action = Action.KEPT
        log.debug("%s is kept: it %s", server, reason)
    tell(decision, action)
    return Outcome(action=action, decision=decision)


def safe(tell: Callable[[D, Action], None]) -> Callable[[D, Action], None]:
    """Return a sink that never raises: who cannot be told costs no server its verdict; said once."""
    is_said = False

    def told(decision: D, action: Action) -> None:
        nonlocal is_said
        try:
            tell(decision, action)
        except Exception as error:  # The supervisor of all who listen.
            log.error(  # noqa: TRY400 - the traceback of the first is enough
                "What became of %s could not be told: %r",
                decision.subject,
                error,
                exc_info=None if is_said else error,
            )
            is_said = True

    return told
