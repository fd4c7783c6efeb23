"""A plan as a table, and as JSON."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from k8s_hub.claims.lookup import servername_of, username_of
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION
from k8s_hub.objects import quantities, timestamps
from k8s_hub.objects.keys import annotations_of, phase_of, spec_of, status_of, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.text import LETTERS, counted, format_duration, format_table, printable
from k8s_hub.volumes.plan import ClaimFinding, Ownership

HEADINGS = ("CLAIM", "BELONGS TO", "REQUESTED", "CAPACITY", "CLASS", "AGE", "LAST USE")

_GIBIBYTE = Decimal(1024**3)


def claims_table(findings: Sequence[ClaimFinding], now: datetime) -> list[str]:
    """Return the table and a line of totals."""
    rows = [HEADINGS, *(_row(found, now) for found in findings)]
    ownerless = [
        found for found in findings if found.ownership in {Ownership.GONE_SERVER, Ownership.GONE_USER}
    ]
    return [
        *format_table(rows),
        f"{total(findings)}; without a user or server in the hub: {total(ownerless)}",
    ]


def total(findings: Sequence[ClaimFinding]) -> str:
    """Return the number of claims and their total size."""
    size = sum((_bytes(_capacity(found.claim) or _requested(found.claim)) for found in findings), Decimal(0))
    return f"{counted(len(findings), 'claim')} with {size / _GIBIBYTE:.1f} GiB"


def described(found: ClaimFinding, now: datetime) -> str:
    """Return a line about one claim."""
    facts = (
        _whose(found),
        _capacity(found.claim) or _requested(found.claim),
        found.created and f"created {_age(now - found.created)} ago",
        found.last_used and f"used {_last_use(found, now)}",
    )
    return printable(f"{found.key} ({', '.join(fact for fact in facts if fact)})")


def as_json(found: ClaimFinding, now: datetime) -> dict[str, Any]:
    """Return everything about one claim: times in UTC, sizes as Kubernetes quantities."""
    return {
        "namespace": found.key.namespace,
        "name": found.key.name,
        "uid": uid_of(found.claim),
        "user": username_of(found.claim),
        "server": None if username_of(found.claim) is None else servername_of(found.claim),
        "extra_claim": annotations_of(found.claim).get(EXTRA_CLAIM_ANNOTATION),
        "belonging": found.ownership.value,
        "owner": found.owner or None,
        "requested": _requested(found.claim),
        "capacity": _capacity(found.claim),
        "storage_class": _storage_class(found.claim),
        "phase": phase_of(found.claim) or None,
        "created": _moment(found.created),
        "age_days": None if found.created is None else (now - found.created).days,
        "last_used": _moment(found.last_used),
        "mounted_by": list(found.mounted_by),
        "may_go": found.deletable,
        "kept_because": found.kept_because,
    }


def _row(found: ClaimFinding, now: datetime) -> tuple[str, ...]:
    cells = (
        str(found.key),
        _whose(found),
        _requested(found.claim) or "-",
        _capacity(found.claim) or "-",
        _storage_class(found.claim) or "-",
        "-" if found.created is None else _age(now - found.created),
        _last_use(found, now),
    )
    return tuple(map(printable, cells))


def _whose(found: ClaimFinding) -> str:
    match found.ownership:
        case Ownership.SERVER:
            return found.owner
        case Ownership.NOBODY:
            return "(no owner)"
        case Ownership.GONE_SERVER | Ownership.GONE_USER:
            return f"{found.owner}: {found.ownership}"


def _last_use(found: ClaimFinding, now: datetime) -> str:
    if found.mounted_by:
        return "now"
    return "unknown" if found.last_used is None else f"{_age(now - found.last_used)} ago"


def _age(time: timedelta) -> str:
    return format_duration(time, LETTERS, parts=1)


def _requested(claim: Raw) -> str | None:
    return _storage((spec_of(claim).get("resources") or {}).get("requests"))


def _capacity(claim: Raw) -> str | None:
    return _storage(status_of(claim).get("capacity"))


def _storage(sizes: Raw | None) -> str | None:
    size = (sizes or {}).get("storage")
    return None if size is None else str(size)


def _storage_class(claim: Raw) -> str | None:
    name = spec_of(claim).get("storageClassName")
    return None if name is None else str(name)


def _bytes(size: str | None) -> Decimal:
    return Decimal(0) if size is None else quantities.parse(size)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else timestamps.format_seconds(moment)
