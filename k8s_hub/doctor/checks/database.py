"""The hub's database: whether each start of a server waits for a slow disk."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from k8s_hub.doctor.checks.findings import Finding, fine, noted, unknown, wrong

CHECK = "database"

COMMITS_A_START = 14
"""How often JupyterHub commits while it starts a server; the whole hub waits for each commit."""

SLOW_COMMIT = 0.005
"""Seconds: commits that take longer block the hub for 70 ms or more at each start."""

NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "ceph", "fuse", "9p")
"""How the names of file systems begin on which SQLite supports no write-ahead log."""

IN_MEMORY = ("", ":memory:")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteFile:
    """A database in a file, as it is on this host."""

    path: str
    has_write_ahead_log: bool
    #: Such as "ext4"; "" if it is not known.
    file_system: str
    #: Seconds for one commit without a write-ahead log; None if it was not measured.
    commit: float | None


def sqlite_path(url: str) -> str | None:
    """Return the path in a `JupyterHub.db_url`, which may be one of `IN_MEMORY`; None for another database."""
    scheme, separator, rest = url.partition("://")
    if not separator:  # JupyterHub takes a mere path, too
        return url
    return rest.partition("?")[0].removeprefix("/") if scheme.partition("+")[0] == "sqlite" else None


def check_other(url: str) -> Finding:
    """Return the finding about a database that is not in a file. It names no password."""
    program = url.partition("://")[0].partition("+")[0]
    return fine(CHECK, program, "in memory" if program == "sqlite" else "not SQLite: not checked")


def check_file(database: SqliteFile) -> Finding:
    """Return the finding about SQLite in a file."""
    is_shared = database.file_system.startswith(NETWORK_FILE_SYSTEMS)
    if database.has_write_ahead_log and is_shared:
        return wrong(
            CHECK,
            database.path,
            f"write-ahead log on {database.file_system}: SQLite does not support it there, and may lose data",
            advice="use PostgreSQL, or end the write-ahead log: docs/howto/large-hub.md",
        )
    if database.has_write_ahead_log:
        return fine(CHECK, database.path, "write-ahead log")
    if database.commit is None:
        return unknown(CHECK, database.path, "this account may not measure commits beside it")
    took = f"a commit takes {1000 * database.commit:.1f} ms"
    if database.commit < SLOW_COMMIT:
        return fine(CHECK, database.path, took)
    return noted(
        CHECK,
        database.path,
        f"{took}: each start of a server blocks the hub for {1000 * COMMITS_A_START * database.commit:.0f} ms",
        advice=f"use PostgreSQL: SQLite has no write-ahead log on {database.file_system}"
        if is_shared
        else "give SQLite a write-ahead log, as helm-values/spawner.yaml and docs/howto/large-hub.md do",
    )


def file_system_of(path: PurePath, mounts: str) -> str:
    """Return the kind of file system that an absolute path is on, by the text of /proc/mounts; "" if it is not there."""
    kinds = {PurePath(place): kind for place, kind in _places(mounts)}
    return next((kinds[folder] for folder in (path, *path.parents) if folder in kinds), "")


def _places(mounts: str) -> Iterator[tuple[str, str]]:
    """Yield each place and its kind of file system; where several are on top of each other, the last one counts."""
    for line in mounts.splitlines():
        _, place, kind, *_ = line.split(" ")
        yield place.replace("\\040", " "), kind
