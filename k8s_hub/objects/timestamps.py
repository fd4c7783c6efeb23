"""RFC 3339 timestamps as Kubernetes and JupyterHub write them."""

from datetime import UTC, datetime, tzinfo


def parse(text: str, *, naive: tzinfo | None = None) -> datetime:
    """Parse a timestamp, with or without fraction, into an aware datetime in UTC.

    Digits beyond microseconds are dropped. ``naive`` is the time zone of a timestamp without offset; without it, such a
    timestamp raises ValueError.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        if naive is None:
            raise ValueError(f"The timestamp {text!r} has no UTC offset")
        moment = moment.replace(tzinfo=naive)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"The timestamp {text!r} is before the year 1 or after 9999 in UTC") from None


def format_seconds(moment: datetime) -> str:
    """Return a timestamp such as 2026-07-01T12:00:00Z, without the fraction."""
    if moment.tzinfo is None:
        raise ValueError(f"The datetime {moment!r} has no time zone")
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def format_exact(moment: datetime) -> str:
    """Return a timestamp such as 2026-07-01T12:00:00.250000Z, with the fraction if there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
