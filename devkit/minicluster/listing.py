"""Lists in pages that all have the same version."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devkit.minicluster.database import Database, untyped
from devkit.minicluster.resources import API_VERSION, Kind
from devkit.minicluster.selection import Selection, parse_number
from devkit.minicluster.statuses import StatusError, bad_request, continue_expired
from k8s_hub.objects.keys import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The requested part of a list."""

    #: None: no limit.
    limit: int | None
    #: The version of the list; None: the current one.
    version: int | None
    #: The last object of the previous page; None: from the beginning.
    after: Key | None


def parse_page(query: Mapping[str, str], current: int) -> Page:
    """Parse limit, continue and resourceVersion; raise 400 for a malformed token."""
    limit = parse_number(query, "limit") or None
    if query.get("continue"):
        version, after = _decode_token(query["continue"])
        return Page(limit=limit, version=version, after=after)
    asked = parse_number(query, "resourceVersion")
    if asked is not None and asked > current:
        raise _too_large(asked, current)
    is_exact = query.get("resourceVersionMatch") == "Exact"
    return Page(limit=limit, version=asked if is_exact else None, after=None)


def list_page(database: Database, kind: Kind, selection: Selection, page: Page) -> bytes:
    """Return the JSON of one page."""
    version = database.version if page.version is None else page.version
    try:
        records = database.records_at(version, kind, selection.namespace)
    except StatusError as error:
        if page.after is None:
            raise
        raise continue_expired(_encode_token(None, page.after)) from error
    keys = sorted(
        key
        for key, record in records.items()
        if (page.after is None or key > page.after) and selection.has(key, record.obj)
    )
    metadata: dict[str, Any] = {"resourceVersion": str(version)}
    shown = keys[: page.limit]
    if len(shown) < len(keys):
        metadata["continue"] = _encode_token(version, shown[-1])
        if selection.is_everything:
            metadata["remainingItemCount"] = len(keys) - len(shown)
    return b'{"kind":"%bList","apiVersion":"%b","metadata":%b,"items":[%b]}' % (
        kind.kind.encode(),
        API_VERSION.encode(),
        json.dumps(metadata, separators=(",", ":")).encode(),
        b",".join(untyped(kind, records[key].encoded) for key in shown),
    )


def _encode_token(version: int | None, last: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, *last]).encode()).decode().rstrip("=")


def _decode_token(token: str) -> tuple[int | None, Key]:
    """Return the list's version (None: the current one) and the last object."""
    try:
        padded = token + "=" * (-len(token) % 4)
        version, namespace, name = json.loads(base64.urlsafe_b64decode(padded.encode()))
        return version if version is None else int(version), Key(str(namespace), str(name))
    except (ValueError, TypeError, binascii.Error) as error:
        raise bad_request(f"continue key is not valid: {error}") from error


def _too_large(asked: int, current: int) -> StatusError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return StatusError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})
