"""What became of each server and user, for those who listen: the log, and listeners that cost nothing its verdict."""

import logging
from collections.abc import Callable
from typing import ParamSpec

from k8s_hub.culler.judging.decision import Action, Decision
from k8s_hub.culler.sweeping.partners import Sink
from k8s_hub.culler.sweeping.stopping import Outcome

log = logging.getLogger(__name__)

P = ParamSpec("P")


def unstopped(decision: Decision, tell: Sink) -> Outcome:
    """Tell of a server that is not told to stop."""
    server, reason = decision.facts.server, decision.verdict.reason
    if decision.verdict.culls:
        action = Action.WOULD_STOP
        log.info("%s: would be stopped: %s", server, reason)
    else:
        action = Action.KEPT
        log.debug("%s: kept: %s", server, reason)
    tell(decision, action)
    return Outcome(action=action, decision=decision)


class LoggedOnce:
    """Logs the first error of each kind, with its traceback; owns which kinds those were."""

    def __init__(self) -> None:
        self._kinds: set[type[Exception]] = set()

    def __call__(self, message: str, error: Exception) -> None:
        """Log it; the message is ``<object>: <what happened>``."""
        if type(error) not in self._kinds:
            self._kinds.add(type(error))
            log.error("%s: %r (further errors of this kind are not logged)", message, error, exc_info=error)


def guarded(name: str, listener: Callable[P, object]) -> Callable[P, None]:
    """Return a listener that never raises: one record that it cannot take costs neither the others nor the sweep."""
    log_once = LoggedOnce()

    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            listener(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the supervisor of all who listen
            log_once(f"{name}: could not take a record", error)

    return told
