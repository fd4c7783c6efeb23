"""Durations as an admin writes them: whole seconds, or texts such as "90s", "15 min" and "1d 12h"."""

import re
from datetime import timedelta
from typing import Any

from k8s_hub.culler.ruling.reading import BadRule
from k8s_hub.text import quoted

LONGEST = 1_000_000_000
"""In seconds: 31 years. What is longer is a mistake, and leads to dates that do not exist."""

NEVER = "never"

_UNITS = (
    ("w|weeks?", 604_800),
    ("d|days?", 86_400),
    ("h|hours?", 3_600),
    ("m|mins?|minutes?", 60),
    ("s|secs?|seconds?", 1),
)
_PARTS = re.compile(r"\s*".join(rf"(?:([0-9]{{1,10}})\s*(?:{names})(?![a-z]))?" for names, _ in _UNITS))
_SECONDS = re.compile("0|[1-9][0-9]{0,9}")  # 010 is 8 to some, and 10 to others


def parse(raw: Any, path: str = "duration") -> timedelta:
    """Read a duration of a second or more; raise BadRule, which begins with ``path``."""
    seconds = _seconds(raw)
    if seconds is None:
        raise BadRule(f"{path}: {quoted(raw)} is no duration such as 900 (seconds), 15m or 1d 12h")
    if not 0 < seconds <= LONGEST:
        raise BadRule(f"{path}: {quoted(raw)} is not between one second and 31 years")
    return timedelta(seconds=seconds)


def parse_or_never(raw: Any, path: str = "duration") -> timedelta | None:
    """Read a duration that may be "never" or 0, which is None; raise BadRule, which begins with ``path``."""
    return None if raw == NEVER or _seconds(raw) == 0 else parse(raw, path)


def _seconds(raw: Any) -> int | None:
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int):
        return raw
    if not isinstance(raw, str):
        return None
    written = raw.strip()
    if _SECONDS.fullmatch(written):
        return int(written)
    parts = _PARTS.fullmatch(written)
    if not written or parts is None:
        return None
    return sum(
        int(number or 0) * seconds for number, (_, seconds) in zip(parts.groups(), _UNITS, strict=True)
    )
