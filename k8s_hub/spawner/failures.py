"""How a failed start reaches JupyterHub: what the user reads, what the log says, whether the hub counts it.

The hub ends itself after `consecutive_failure_limit` failures in a row. Only a cluster that does not answer
(and a bug of ours) may count; a user's typo, a quota or a missing image never does.
"""

import asyncio
from html import escape
from typing import Any, cast
from weakref import WeakSet

from prometheus_client import Counter
from tornado.web import HTTPError

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason

try:
    from jupyterhub.spawner import SpawnException
except ImportError:  # JupyterHub 5 has no such class and counts every failure
    SpawnException = None

FAILURES = Counter("k8s_hub_spawn_failures_total", "Starts that failed, by the diagnosed reason.", ["reason"])

COUNTED = frozenset({Reason.CLUSTER_UNAVAILABLE})

_uncounted: WeakSet[asyncio.Future[Any]] = WeakSet()
"""Spawns whose failure is taken back already: a subclass may try more than once."""


class SpawnFailed(Exception):  # noqa: N818 - what happened, not what went wrong in the code
    """A start ended with a reason; the diagnosis has a sentence for the user and a detail for the log."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.sentence)
        self.diagnosis = diagnosis


def hub_error(diagnosis: Diagnosis, spawner: Any) -> HTTPError:
    """Return the exception that tells this JupyterHub what happened.

    Where the hub would count a failure that is not its own, it is kept from that.
    """
    reason = str(diagnosis.reason or "unknown")
    FAILURES.labels(reason).inc()
    detail = f"{diagnosis.sentence} [{reason}] {diagnosis.detail}".rstrip()
    error: Any = _error(diagnosis, reason, detail, spawner)
    # The pages show these two, whatever the class of the exception.
    error.jupyterhub_message = diagnosis.sentence
    error.jupyterhub_html_message = f"<p>{escape(diagnosis.sentence)}</p>"
    return cast("HTTPError", error)


def _error(diagnosis: Diagnosis, reason: str, detail: str, spawner: Any) -> HTTPError:
    if diagnosis.reason in COUNTED:
        return HTTPError(503, detail, reason=reason)
    if SpawnException is not None:
        return cast("HTTPError", SpawnException(diagnosis.sentence, reason=reason, log_message=detail))
    _take_back_count(spawner)
    return HTTPError(400, detail, reason=reason)


def _take_back_count(spawner: Any) -> None:
    """Have JupyterHub 5 take back the failure in the moment in which it counts it, and not end itself for it.

    Taken back earlier, it would not be: a start that succeeds meanwhile sets the count to zero. The hub counts in a
    callback of the spawn's future, and ours comes next.
    """
    spawn = spawner._spawn_future  # noqa: SLF001 - JupyterHub 5 has no other way
    if spawn is None or spawner.handler is None or spawn in _uncounted:
        return
    _uncounted.add(spawn)
    settings, limit = spawner.handler.settings, spawner.consecutive_failure_limit
    spawner.consecutive_failure_limit = 0

    def take_back(spawn: asyncio.Future[Any]) -> None:
        spawner.consecutive_failure_limit = limit
        if not spawn.cancelled() and spawn.exception() is not None:
            settings["failure_count"] -= 1

    spawn.add_done_callback(take_back)
