"""Watches: the changes of one kind from a version on, as lines, with bookmarks in between."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from devkit.minicluster.database import Database
from devkit.minicluster.history import Change, ChangeType, watch_line
from devkit.minicluster.resources import API_VERSION, Kind
from devkit.minicluster.selection import Selection, parse_flag, parse_number
from devkit.minicluster.statuses import StatusError, bad_request

# What the server chooses when the client does not say how long: longer than clients ask for.
_DEFAULT_TIMEOUT_SECONDS = 3600
# A timer may fire a rounding error early, and virtual time does not move on by itself meanwhile.
_ROUNDING_SECONDS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a watch is asked for."""

    kind: Kind
    selection: Selection
    #: None: begin with everything that is there now.
    version: int | None
    has_bookmarks: bool
    timeout_seconds: int


def parse_watch(kind: Kind, selection: Selection, query: Mapping[str, str]) -> Watch:
    """Read the query of a watch; 400 for what cannot be obeyed."""
    if parse_flag(query, "sendInitialEvents"):
        raise bad_request("the mini cluster does not support sendInitialEvents: list, then watch")
    return Watch(
        kind=kind,
        selection=selection,
        version=parse_number(query, "resourceVersion") or None,
        has_bookmarks=parse_flag(query, "allowWatchBookmarks"),
        timeout_seconds=parse_number(query, "timeoutSeconds") or _DEFAULT_TIMEOUT_SECONDS,
    )


async def watch_lines(
    watch: Watch, database: Database, bookmark_seconds: float
) -> AsyncGenerator[list[bytes]]:
    """Yield the lines that are due, at once after each change, until the time is over or history is lost.

    A batch may be empty: something else happened.
    """
    loop = asyncio.get_running_loop()
    history = database.history(watch.kind)
    end = loop.time() + watch.timeout_seconds
    period = bookmark_seconds if watch.has_bookmarks else math.inf
    next_bookmark = loop.time() + period
    version = watch.version
    if version is None:
        version = database.version
        yield _present(watch, database)
    while True:
        beats = history.pulse.beats
        try:
            history.check(version, database.version)
        except StatusError as gone:
            yield [error_line(gone)]
            return
        lines = [line for change in history.after(version) if (line := line_for(change, watch.selection))]
        version = database.version
        now = loop.time() + _ROUNDING_SECONDS
        if watch.has_bookmarks and now >= min(next_bookmark, end):
            lines.append(bookmark_line(watch.kind, version))
            next_bookmark = now + period
        yield lines
        if now >= end:
            return
        try:
            async with asyncio.timeout_at(min(next_bookmark, end)):
                await history.pulse.after(beats)
        except TimeoutError:
            continue


def line_for(change: Change, selection: Selection) -> bytes | None:
    """Return the change as this selection sees it: an object may come into it, or leave it, by its labels."""
    is_in = change.type is not ChangeType.DELETED and selection.has(change.key, change.after.obj)
    was_in = change.before is not None and selection.has(change.key, change.before.obj)
    match was_in, is_in:
        case False, False:
            return None
        case False, True:
            return watch_line(ChangeType.ADDED, change.after.encoded)
        case True, True:
            return watch_line(ChangeType.MODIFIED, change.after.encoded)
        case _:
            return watch_line(ChangeType.DELETED, change.after.encoded)


def bookmark_line(kind: Kind, version: int) -> bytes:
    """Return the line that says: nothing is missing up to this version."""
    obj = {"kind": kind.kind, "apiVersion": API_VERSION, "metadata": {"resourceVersion": str(version)}}
    return watch_line("BOOKMARK", json.dumps(obj, separators=(",", ":")).encode())


def error_line(error: StatusError) -> bytes:
    """Return the line that ends a watch."""
    return watch_line("ERROR", json.dumps(error.body, separators=(",", ":")).encode())


def _present(watch: Watch, database: Database) -> list[bytes]:
    records = database.records(watch.kind, watch.selection.namespace)
    return [
        watch_line(ChangeType.ADDED, records[key].encoded)
        for key in sorted(records)
        if watch.selection.has(key, records[key].obj)
    ]
