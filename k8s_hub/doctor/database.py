"""Reads how the hub's SQLite database writes, and measures the disk beside it: nothing touches the database itself."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from statistics import median
from time import perf_counter

from k8s_hub.doctor.checks import database
from k8s_hub.doctor.checks.findings import Finding, unknown

DEFAULT = Path("jupyterhub.sqlite")
"""Of JupyterHub.db_url, in the hub's working directory."""

COMMITS = 5

MOUNTS = Path("/proc/mounts")

# Of SQLite's file format: https://www.sqlite.org/fileformat.html, "File format version numbers".
VERSION_OFFSET = 18
WRITE_AHEAD = 2


def findings_of_database(url: str | None) -> Iterator[Finding]:
    """Yield what there is to say of the database.

    url: `JupyterHub.db_url`; None: the default, if its file is in the working directory.
    """
    if url is None:
        if DEFAULT.is_file():
            yield _of_file(DEFAULT)
        return
    path = database.sqlite_path(url)
    if path is None or path in database.IN_MEMORY:
        yield database.check_other(url)
    else:
        yield _of_file(Path(path))


def _of_file(path: Path) -> Finding:
    try:
        return database.check_file(_read(path))
    except OSError as error:
        advice = "run the doctor where the hub runs, in its working directory"
        return unknown(database.CHECK, str(path), f"cannot be read: {error.strerror or error}", advice=advice)


def _read(path: Path) -> database.SqliteFile:
    with path.open("rb") as file:
        has_write_ahead_log = file.read(VERSION_OFFSET + 1)[VERSION_OFFSET:] == bytes([WRITE_AHEAD])
    mounts = ""
    with suppress(OSError):  # no Linux
        mounts = MOUNTS.read_text(errors="surrogateescape")  # a folder may have a name of any bytes
    return database.SqliteFile(
        path=str(path),
        has_write_ahead_log=has_write_ahead_log,
        file_system=database.file_system_of(path.resolve(), mounts),
        commit=None if has_write_ahead_log else _commit_seconds(path.resolve().parent),
    )


def _commit_seconds(folder: Path) -> float | None:
    """Return how long a commit to a database of its own takes in the folder; None where none can be made."""
    took = []
    try:
        with (
            tempfile.TemporaryDirectory(prefix="k8s-hub-doctor-", dir=folder) as scratch,
            closing(sqlite3.connect(Path(scratch) / "scratch.sqlite")) as connection,
        ):
            connection.execute("CREATE TABLE commits (number INTEGER)")
            for number in range(COMMITS):
                begin = perf_counter()
                connection.execute("INSERT INTO commits VALUES (?)", (number,))
                connection.commit()
                took.append(perf_counter() - begin)
    except (OSError, sqlite3.Error):
        return None
    return median(took)
