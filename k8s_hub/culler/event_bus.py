"""Decisions, passes and answers of the hub go to listeners, each guarded; the decision log is one of them."""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from typing import Any, ParamSpec

from k8s_hub.culler.core.decision import Action, Decision, UserDecision
from k8s_hub.culler.core.report import PassRecord

log = logging.getLogger(__name__)

P = ParamSpec("P")

DecisionListener = Callable[[Decision, Action], None]
"""Gets every decision, once its server's fate is known."""

UserDecisionListener = Callable[[UserDecision, Action], None]
"""Gets each user whose time is up, once their fate is known."""


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

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            listener(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the supervisor of all who listen
            log_once(f"{name}: could not take a record", error)

    return call


class EventBus:
    """Owns the listeners; whoever subscribes is guarded, and named in the log where it cannot take a record."""

    def __init__(self) -> None:
        self._decisions: list[DecisionListener] = []
        self._user_decisions: list[UserDecisionListener] = []
        self._passes: list[Callable[[PassRecord], object]] = []
        self._replies: list[Callable[[str, int, float], object]] = []
        self._missing_scopes: list[Callable[[tuple[str, ...]], object]] = []

    def subscribe(
        self,
        name: str,
        *,
        decision: DecisionListener | None = None,
        user_decision: UserDecisionListener | None = None,
        end_of_pass: Callable[[PassRecord], object] | None = None,
        reply: Callable[[str, int, float], object] | None = None,
        missing_scopes: Callable[[tuple[str, ...]], object] | None = None,
    ) -> None:
        """Listen from now on; ``reply``: method, code (0: none came) and seconds; ``missing_scopes``: a message for each."""
        if decision is not None:
            self._decisions.append(guarded(name, decision))
        if user_decision is not None:
            self._user_decisions.append(guarded(name, user_decision))
        if end_of_pass is not None:
            self._passes.append(guarded(name, end_of_pass))
        if reply is not None:
            self._replies.append(guarded(name, reply))
        if missing_scopes is not None:
            self._missing_scopes.append(guarded(name, missing_scopes))

    def on_decision(self, decision: Decision, action: Action) -> None:
        """Emit a decision, once its server's fate is known."""
        for listener in self._decisions:
            listener(decision, action)

    def on_user_decision(self, decision: UserDecision, action: Action) -> None:
        """Emit a decision about a user, once their fate is known."""
        for listener in self._user_decisions:
            listener(decision, action)

    def on_pass(self, record: PassRecord) -> None:
        """Emit the end of a pass."""
        for listener in self._passes:
            listener(record)

    def on_reply(self, method: str, code: int, seconds: float) -> None:
        """Emit an answer of the hub."""
        for listener in self._replies:
            listener(method, code, seconds)

    def on_missing_scopes(self, messages: tuple[str, ...]) -> None:
        """Emit what the token lacks, whenever that changes."""
        for listener in self._missing_scopes:
            listener(messages)


# --- The decision log ---

STANDARD_OUTPUT = "-"


class DecisionLog:
    """Writes each decision as one line of JSON to a file, or to standard output; owns the file, which may be rotated.

    The file is made for its owner only: it says who works when. Raise OSError where it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._handler = _standard_output() if path == STANDARD_OUTPUT else _File(path, encoding="utf-8")
        self._log_once = LoggedOnce()

    def __call__(self, decision: Decision | UserDecision, action: Action) -> None:
        """Write one line; a value that JSON cannot hold is null there."""
        record = decision.as_json(action)
        try:
            line = json.dumps(record)
        except (ValueError, TypeError, RecursionError) as error:
            self._log_once(f"decision_log: {decision.subject}: a value was left out", error)
            line = json.dumps({key: value if _is_json(value) else None for key, value in record.items()})
        self._handler.handle(logging.LogRecord(__name__, logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        """Close the file; what it could not hold was logged."""
        with contextlib.suppress(OSError):
            self._handler.close()


class _File(WatchedFileHandler):
    """A file; one that cannot be written now (the disk is full) costs its lines, logged once in a while."""

    is_broken = False

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, opener=_for_its_owner)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.reopenIfNeeded()
            self.stream = self.stream or self._open()  # it has none after its folder was gone for a while
            self.stream.write(f"{record.msg}\n")
            self.stream.flush()
        except OSError as error:
            if not self.is_broken:
                log.error("decision_log %r cannot be written: %s", self.baseFilename, error)  # noqa: TRY400
            self.is_broken = True
        else:
            self.is_broken = False


def _for_its_owner(path: str, flags: int) -> int:
    # Writing to a pipe without a reader would block, and no signal would end that.
    file = os.open(path, flags | os.O_NONBLOCK, 0o600)
    os.set_blocking(file, True)
    return file


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def _standard_output() -> logging.Handler:
    return logging.StreamHandler[Any](sys.stdout)
