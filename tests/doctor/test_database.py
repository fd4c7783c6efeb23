"""The hub's database: what the doctor reads of it, and that nothing of it changes."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from k8s_hub.doctor.checks.database import (
    SLOW_COMMIT,
    SqliteFile,
    check_file,
    check_other,
    file_system_of,
    sqlite_path,
)
from k8s_hub.doctor.checks.findings import Status
from k8s_hub.doctor.database import findings_of_database

SLOW = SqliteFile(path="hub.sqlite", has_write_ahead_log=False, file_system="ext4", commit=0.015)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///jupyterhub.sqlite", "jupyterhub.sqlite"),
        ("sqlite:////srv/jupyterhub/jupyterhub.sqlite", "/srv/jupyterhub/jupyterhub.sqlite"),
        ("sqlite+pysqlite:///hub.sqlite?timeout=20", "hub.sqlite"),
        ("hub.sqlite", "hub.sqlite"),
        ("sqlite:///:memory:", ":memory:"),
        ("sqlite://", ""),
        ("postgresql+psycopg2://jupyterhub@db/jupyterhub", None),
        ("mysql+mysqldb://jupyterhub@db/jupyterhub", None),
    ],
)
def test_the_path_in_a_url(url, path):
    assert sqlite_path(url) == path


def test_commits_to_a_slow_disk_are_noted_with_the_cure():
    found = check_file(SLOW)
    assert (found.status, found.message) == (
        Status.NOTED,
        "a commit takes 15.0 ms: each start of a server blocks the hub for 210 ms",
    )
    assert "helm-values/spawner.yaml" in found.advice


def test_a_slow_volume_of_the_network_is_no_place_for_the_cure():
    found = check_file(replace(SLOW, file_system="nfs4"))
    assert (found.status, found.advice) == (
        Status.NOTED,
        "use PostgreSQL: SQLite has no write-ahead log on nfs4",
    )


@pytest.mark.parametrize(
    ("database", "status"),
    [
        (replace(SLOW, commit=SLOW_COMMIT / 2), Status.FINE),
        (replace(SLOW, commit=None), Status.UNKNOWN),
        (replace(SLOW, commit=None, has_write_ahead_log=True), Status.FINE),
        (replace(SLOW, commit=None, has_write_ahead_log=True, file_system=""), Status.FINE),
        (replace(SLOW, commit=None, has_write_ahead_log=True, file_system="nfs4"), Status.WRONG),
        (replace(SLOW, commit=None, has_write_ahead_log=True, file_system="fuse.glusterfs"), Status.WRONG),
    ],
    ids=str,
)
def test_other_databases_in_a_file(database, status):
    assert check_file(database).status is status


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2", "mysql+mysqldb", "sqlite"])
def test_other_databases_are_well_and_their_password_is_not_named(scheme):
    found = check_other(f"{scheme}://jupyterhub:secret@db/jupyterhub")
    assert found.status is Status.FINE
    assert "secret" not in str(found)


MOUNTS = """\
overlay / overlay rw 0 0
10.0.0.1:/hub /srv/jupyterhub nfs4 rw 0 0
/dev/sdb /srv/jupyterhub/local\\040disk ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
/dev/sdc /tmp xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/jupyterhub/jupyterhub.sqlite", "nfs4"),
        ("/srv/jupyterhub/local disk/jupyterhub.sqlite", "ext4"),
        ("/srv/jupyterhub2/jupyterhub.sqlite", "overlay"),
        ("/tmp/hub.sqlite", "xfs"),
    ],
)
def test_the_file_system_of_a_path(path, kind):
    assert file_system_of(PurePath(path), MOUNTS) == kind
    assert not file_system_of(PurePath(path), "")


@pytest.fixture
def hub_database(tmp_path, monkeypatch):
    """The default database, in the working directory."""
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("jupyterhub.sqlite")) as database:
        database.execute("CREATE TABLE users (name)")
        yield database


def test_the_default_database_is_measured_and_left_alone(hub_database):
    before = Path("jupyterhub.sqlite").read_bytes()
    hub_database.execute("BEGIN EXCLUSIVE")  # the hub is in the middle of a write
    (found,) = findings_of_database(None)
    assert found.message.startswith("a commit takes ")
    assert Path("jupyterhub.sqlite").read_bytes() == before
    assert [*Path().iterdir()] == [Path("jupyterhub.sqlite")]


def test_a_mount_whose_name_is_no_utf_8_hides_no_other(hub_database, tmp_path_factory, monkeypatch):
    mounts = tmp_path_factory.mktemp("proc") / "mounts"
    mounts.write_bytes(b"/dev/sda / nfs4 rw 0 0\n/dev/sdb /srv/Z\xfcrich ext4 rw 0 0\n")
    monkeypatch.setattr("k8s_hub.doctor.database.MOUNTS", mounts)
    hub_database.execute("PRAGMA journal_mode=WAL")
    (found,) = findings_of_database(None)
    assert "write-ahead log on nfs4" in found.message


def test_a_write_ahead_log_is_seen_from_outside(hub_database):
    hub_database.execute("PRAGMA journal_mode=WAL")
    (found,) = findings_of_database("sqlite:///jupyterhub.sqlite")
    assert (found.subject, found.message) == ("jupyterhub.sqlite", "write-ahead log")


def test_a_hub_elsewhere_is_not_mentioned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list(findings_of_database(None)) == []


def test_a_database_that_was_named_and_is_not_here_is_unknown(tmp_path):
    (found,) = findings_of_database(f"sqlite:///{tmp_path}/hub.sqlite")
    assert (found.status, found.message) == (Status.UNKNOWN, "cannot be read: No such file or directory")
