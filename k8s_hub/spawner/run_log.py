"""The log lines about one run of a server: the hub itself knows only an exit code."""

import logging
from collections.abc import Callable
from functools import lru_cache, partial
from inspect import unwrap
from pathlib import Path
from typing import Any

from prometheus_client import Counter

from k8s_hub.diagnosis.diagnosis import Diagnosis
from k8s_hub.diagnosis.pod_life import is_on_lost_node, last_exit, notebook_status, restarts
from k8s_hub.objects.keys import Key, key_of
from k8s_hub.objects.raw import Raw


def log_with(log: logging.Logger) -> None:
    """Send the lines of this package's modules where the hub's go; Python alone prints their warnings bare, and no others."""
    ours = logging.getLogger("k8s_hub")
    if not ours.hasHandlers():
        ours.parent = log
        ours.setLevel(log.getEffectiveLevel())


@lru_cache(maxsize=10_000)
def warn_once(log: logging.Logger, message: str) -> None:
    """Log a warning once: the hub makes a spawner for every server, and each would repeat it.

    The cache is bounded, because administrators' functions may produce a different warning for each user.
    """
    log.warning(message)


class BrokenCode:
    """The rules and hooks that have raised; logs each once, with its traceback. The process owns the instance."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def log_once(self, log: logging.Logger, what: str, error: Exception) -> None:
        """Log that ``what`` ("diagnosis rule site.queue") raised; the start continues without it."""
        if what not in self._logged:
            self._logged.add(what)
            log.error(
                "%s: raised an exception, and is skipped whenever it does (logged once): %r",
                what,
                error,
                exc_info=error,
            )


def name_of(code: Any) -> str:
    """Return the name of an administrator's function, with its module, or else its file and line.

    JupyterHub executes a configuration file outside any module: ``__module__`` of its functions is None.
    """
    while isinstance(code, partial):
        code = code.func
    called = code if hasattr(code, "__qualname__") else type(code).__call__
    module = getattr(called, "__module__", None)
    if module and module != "builtins":
        return f"{module}.{called.__qualname__}"
    source = getattr(unwrap(called), "__code__", None)
    place = f" ({Path(source.co_filename).name}, line {source.co_firstlineno})" if source else ""
    return f"{called.__qualname__}{place}"


BROKEN_CODE = BrokenCode()


def log_broken_rule(log: logging.Logger, rule: Callable[..., object], error: Exception) -> None:
    """Log once that one of a site's diagnosis rules raised."""
    BROKEN_CODE.log_once(log, f"diagnosis rule {name_of(rule)}", error)


SLOW_STEP = 30.0
"""Seconds after which the log names a step of a start that goes on."""

ENDS = Counter(
    "k8s_hub_server_ends_total",
    "Servers that ended without a stop by the hub, by Kubernetes' reason; Removed: the pod is gone.",
    ["reason"],
)


class RunLog:
    """The log of one run; logs each fact once, however often the hub polls."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._is_end_logged = False
        self._is_poll_failure_logged = False
        self._slow_step: Diagnosis | None = None

    def log_diagnosis(self, server: str, diagnosis: Diagnosis) -> None:
        """Log what the user reads about a start."""
        # Only the user needs the normal steps: in a burst of starts they would hide the unusual ones.
        level = logging.DEBUG if diagnosis.reason is None else logging.INFO
        self._log.log(level, "%s: %s %s", server, diagnosis.sentence, diagnosis.detail)

    def log_slow_step(self, server: str, diagnosis: Diagnosis, seconds: float) -> None:
        """Log a step of a start that takes long, although nothing is wrong."""
        if seconds >= SLOW_STEP and diagnosis.reason is None and diagnosis is not self._slow_step:
            self._slow_step = diagnosis
            self._log.info("%s: since %.0f s: %s %s", server, seconds, diagnosis.sentence, diagnosis.detail)

    def log_end(self, level: int, pod: Key, reason: str, how: str) -> bool:
        """Log how the run ended, and count it by Kubernetes' reason; return False if that was done before."""
        if self._is_end_logged:
            return False
        self._is_end_logged = True
        ENDS.labels(reason).inc()
        self._log.log(level, "%s: the server has ended: %s", pod, how)
        return True

    def log_poll_failure(self, server: str) -> None:
        """Log the current exception, which a poll must not raise."""
        if not self._is_poll_failure_logged:
            self._is_poll_failure_logged = True
            self._log.exception(
                "%s: it is not known whether the server runs, so it counts as running", server
            )

    def log_trouble(self, pod: Raw, before: Raw) -> None:
        """Log new trouble of a running server: its user will ask the administrator."""
        if is_on_lost_node(pod) and not is_on_lost_node(before):
            self._log.warning(
                "%s: node %s is not responding; the server may still run, so it counts as running",
                key_of(pod),
                pod["spec"].get("nodeName"),
            )
        count = restarts(pod)
        if count > restarts(before):
            ended = last_exit(notebook_status(pod) or {})
            self._log.warning(
                "%s: the server ended (%s, exit code %s); the kubelet starts it again, restart %d",
                key_of(pod),
                ended.get("reason"),
                ended.get("exitCode"),
                count,
            )
