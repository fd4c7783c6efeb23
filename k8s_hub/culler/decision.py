"""A decision: the facts about one server, the rule that holds, the verdict, and what would change it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from k8s_hub.culler.facts import Facts
from k8s_hub.culler.policy import Verdict
from k8s_hub.culler.rules import Ruling


class Action(StrEnum):
    """What was done about a decision."""

    STOPPED = "stopped"
    STOPPING = "stopping"  # told to stop; the hub is still at it
    GONE = "gone"  # stopped by somebody else meanwhile
    KEPT = "kept"
    WOULD_STOP = "would stop"  # nothing is stopped in a dry run or a first look
    FAILED = "failed"  # to stop it


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about one server, at one time."""

    facts: Facts
    ruling: Ruling
    verdict: Verdict
    at: datetime

    def record(self, action: Action) -> dict[str, Any]:
        """Return it as JSON: the same keys for decision log, dry run, explain and page."""
        raise NotImplementedError

    def changes(self) -> Sequence[str]:
        """Return sentences that say what would change the verdict."""
        raise NotImplementedError
