"""How a failed start reaches JupyterHub: what the user reads, what the log says, whether the hub counts it.

The hub ends itself after `consecutive_failure_limit` failures in a row. Only a cluster that does not answer
(and a bug of ours) may count; a user's typo, a quota or a missing image never does.
"""

from collections.abc import MutableMapping
from html import escape
from typing import Any, cast

from prometheus_client import Counter
from tornado.web import HTTPError

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason

try:
    from jupyterhub.spawner import SpawnException
except ImportError:  # JupyterHub 5 has no such class and counts every failure
    SpawnException = None

FAILURES = Counter("k8s_hub_spawn_failures_total", "Starts that failed, by the diagnosed reason.", ["reason"])

COUNTED = frozenset({Reason.CLUSTER_UNAVAILABLE})


class SpawnFailed(Exception):  # noqa: N818 - what happened, not what went wrong in the code
    """A start ended with a reason; the diagnosis has a sentence for the user and a detail for the log."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.sentence)
        self.diagnosis = diagnosis


def hub_error(diagnosis: Diagnosis, hub_settings: MutableMapping[str, Any] | None) -> HTTPError:
    """Return the exception that tells this JupyterHub what happened.

    hub_settings is the settings of the request handler that the start belongs to (None if there is none):
    where the hub would count a failure that is not its own, the count is taken back there beforehand.
    """
    reason = str(diagnosis.reason or "unknown")
    FAILURES.labels(reason).inc()
    detail = f"{diagnosis.sentence} [{reason}] {diagnosis.detail}".rstrip()
    error: Any = _error(diagnosis, reason, detail, hub_settings)
    # The pages show these two, whatever the class of the exception.
    error.jupyterhub_message = diagnosis.sentence
    error.jupyterhub_html_message = f"<p>{escape(diagnosis.sentence)}</p>"
    return cast("HTTPError", error)


def _error(
    diagnosis: Diagnosis, reason: str, detail: str, hub_settings: MutableMapping[str, Any] | None
) -> HTTPError:
    if diagnosis.reason in COUNTED:
        return HTTPError(503, detail, reason=reason)
    if SpawnException is not None:
        return cast("HTTPError", SpawnException(diagnosis.sentence, reason=reason, log_message=detail))
    _take_back_count(hub_settings)
    return HTTPError(400, detail, reason=reason)


def _take_back_count(hub_settings: MutableMapping[str, Any] | None) -> None:
    """Take back the failure that JupyterHub 5 is about to count."""
    if hub_settings is not None:
        hub_settings["failure_count"] = hub_settings.get("failure_count", 0) - 1
