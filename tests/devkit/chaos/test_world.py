"""What a campaign does to its hub's database."""

import sqlite3
from contextlib import closing

import pytest

from devkit.chaos.world import FULL_DISK, Hub


@pytest.fixture
def hub(tmp_path):
    return Hub(
        folder=tmp_path,
        url="",
        process=None,
        proxy=None,
        session=None,
        culler_token="",
        subject=None,
        settings={},
    )


def grow(database, *, limit):
    """Add more than a page, as the hub's connection does while the campaign lets it, or not."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA max_page_count={limit}")
        connection.execute("INSERT INTO users VALUES (zeroblob(9000))")


def test_a_database_on_a_full_disk_takes_nothing_more_and_is_as_before_afterwards(hub):
    with closing(sqlite3.connect(hub.database)) as connection:
        connection.execute("CREATE TABLE users (name)")
        connection.execute("INSERT INTO users VALUES (zeroblob(100000))")
        connection.execute("DELETE FROM users")  # leaves free pages, which a full disk still has
        connection.commit()
    grow(hub.database, limit=1)

    with hub.full_disk():
        assert (hub.folder / FULL_DISK).exists()
        with pytest.raises(sqlite3.OperationalError, match="disk is full"):
            grow(hub.database, limit=1)
    grow(hub.database, limit=1)
    assert not (hub.folder / FULL_DISK).exists()
    with closing(sqlite3.connect(hub.database)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("users",)]
