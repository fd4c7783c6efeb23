"""RFC 3339 timestamps as Kubernetes writes them: whole seconds in ``Time``, six digits in ``MicroTime``."""

from datetime import UTC, datetime


def parse(text: str) -> datetime:
    """Read a timestamp, with or without fraction, into an aware datetime in UTC.

    Digits beyond microseconds are cut off. A timestamp without offset is a ValueError: it names no moment.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"The timestamp {text!r} has no UTC offset")
    return moment.astimezone(UTC)


def format_seconds(moment: datetime) -> str:
    """Write ``Time``, for instance 2026-07-01T12:00:00Z; the fraction is cut off."""
    return f"{_in_utc(moment):%Y-%m-%dT%H:%M:%S}Z"


def format_micros(moment: datetime) -> str:
    """Write ``MicroTime``, for instance 2026-07-01T12:00:00.000000Z."""
    return f"{_in_utc(moment):%Y-%m-%dT%H:%M:%S.%f}Z"


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"The datetime {moment!r} is naive: say which time zone it is in")
    return moment.astimezone(UTC)
