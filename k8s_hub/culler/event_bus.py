"""The event bus: hands decisions, sweeps and answers of the hub to listeners, such as the decision log."""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from typing import Any, Generic, ParamSpec

from k8s_hub.culler.core.decision import Action, Decision, UserDecision
from k8s_hub.culler.core.report import SweepRecord

log = logging.getLogger(__name__)

P = ParamSpec("P")

DecisionListener = Callable[[Decision, Action], None]
"""Gets every decision about a server, with the resulting action."""

UserDecisionListener = Callable[[UserDecision, Action], None]
"""Gets every decision to delete a user, with the resulting action."""


class LoggedOnce:
    """Logs the first error of each type, with its traceback; owns the set of types."""

    def __init__(self) -> None:
        self._kinds: set[type[Exception]] = set()

    def __call__(self, message: str, error: Exception) -> None:
        """Log an error of a new type; the message is ``<object>: <what happened>``."""
        if type(error) not in self._kinds:
            self._kinds.add(type(error))
            log.error(
                "%s: %r (the culler logs no further errors of this kind)", message, error, exc_info=error
            )


def guarded(name: str, listener: Callable[P, object]) -> Callable[P, None]:
    """Return a listener that never raises: its errors affect neither other listeners nor the sweep."""
    log_once = LoggedOnce()

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            listener(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the supervisor of all listeners
            log_once(f"{name}: skipped a record", error)

    return call


class Event(Generic[P]):
    """One kind of event: call it to emit one. Each listener has a name, which the log shows if it raises."""

    def __init__(self) -> None:
        self._listeners: list[Callable[P, None]] = []

    def subscribe(self, name: str, listener: Callable[P, object]) -> None:
        """Add a listener."""
        self._listeners.append(guarded(name, listener))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Emit an event."""
        for listener in self._listeners:
            listener(*args, **kwargs)


class EventBus:
    """Owns the listeners of a culler."""

    def __init__(self) -> None:
        self.decision = Event[[Decision, Action]]()
        self.user_decision = Event[[UserDecision, Action]]()
        #: The record of a finished sweep.
        self.end_of_sweep = Event[[SweepRecord]]()
        #: An answer of the hub: method, code (0: no answer) and seconds.
        self.reply = Event[[str, int, float]]()
        #: A message for each scope that the token lacks; emitted when they change.
        self.missing_scopes = Event[[tuple[str, ...]]]()


# --- The decision log ---

STANDARD_OUTPUT = "-"


class DecisionLog:
    """Writes each decision as one line of JSON to a file or to standard output; owns the file, which may be rotated.

    Only its owner can read the file: it shows which user works when. Raise OSError if it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._handler: logging.Handler = (
            logging.StreamHandler(sys.stdout) if path == STANDARD_OUTPUT else _File(path, encoding="utf-8")
        )
        self._log_once = LoggedOnce()

    def __call__(self, decision: Decision | UserDecision, action: Action) -> None:
        """Write one line; a value that JSON cannot express becomes null."""
        record = decision.as_json(action)
        try:
            line = json.dumps(record)
        except (ValueError, TypeError, RecursionError) as error:
            self._log_once(
                f"decision_log: {decision.subject}: a value that JSON cannot express was left out", error
            )
            line = json.dumps({key: value if _is_json(value) else None for key, value in record.items()})
        self._handler.handle(logging.LogRecord(__name__, logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        """Close the file; an error of its last write is ignored."""
        with contextlib.suppress(OSError):
            self._handler.close()


class _File(WatchedFileHandler):
    """A file that loses lines while it cannot be written, for instance on a full disk; logs each such period once."""

    is_broken = False

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, opener=_for_its_owner)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.reopenIfNeeded()
            self.stream = self.stream or self._open()  # None after the folder was missing for a while
            self.stream.write(f"{record.msg}\n")
            self.stream.flush()
        except OSError as error:
            if not self.is_broken:
                log.error("decision_log %r: cannot be written: %s", self.baseFilename, error)  # noqa: TRY400
            self.is_broken = True
        else:
            self.is_broken = False


def _for_its_owner(path: str, flags: int) -> int:
    # A write to a pipe without a reader would block, and no signal would interrupt it.
    file = os.open(path, flags | os.O_NONBLOCK, 0o600)
    os.set_blocking(file, True)
    return file


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (ValueError, TypeError, RecursionError):
        return False
    return True
