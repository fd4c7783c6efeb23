"""The decision log: each decision as one line of JSON, in a file that may be rotated under it."""

import contextlib
import json
import logging
import sys
from logging.handlers import WatchedFileHandler
from typing import Any

from k8s_hub.culler.judging.decision import Action, Decision, UserDecision

log = logging.getLogger(__name__)

STANDARD_OUTPUT = "-"


class DecisionLog:
    """A sink that writes to a file, or to standard output; owns the file.

    Raise OSError where it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._handler = _standard_output() if path == STANDARD_OUTPUT else _File(path, encoding="utf-8")

    def __call__(self, decision: Decision | UserDecision, action: Action) -> None:
        """Write one line."""
        line = json.dumps(decision.record(action))
        self._handler.handle(logging.LogRecord(__name__, logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        """Close the file; what it could not hold was told."""
        with contextlib.suppress(OSError):
            self._handler.close()


class _File(WatchedFileHandler):
    """A file; one that cannot be written now (the disk is full) costs its lines, told once in a while."""

    is_broken = False

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


def _standard_output() -> logging.Handler:
    return logging.StreamHandler[Any](sys.stdout)
