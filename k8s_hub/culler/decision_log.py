"""The decision log: each decision as one line of JSON, in a file that may be rotated under it.

The file is made for its owner only: it says who works when.
"""

import contextlib
import json
import logging
import os
import sys
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from typing import Any

from k8s_hub.culler.actions import LoggedOnce
from k8s_hub.culler.core.decision import Action, Decision, UserDecision

log = logging.getLogger(__name__)

STANDARD_OUTPUT = "-"


class DecisionLog:
    """A sink that writes to a file, or to standard output; owns the file.

    Raise OSError where it cannot be opened.
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
        """Close the file; what it could not hold was told."""
        with contextlib.suppress(OSError):
            self._handler.close()


class _File(WatchedFileHandler):
    """A file; one that cannot be written now (the disk is full) costs its lines, told once in a while."""

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
    # A pipe that nobody reads would be waited for, and no signal would end that.
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
