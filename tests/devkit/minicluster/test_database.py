"""The database keeps objects, their order and their past."""

from datetime import UTC, datetime

import pytest

from devkit.minicluster.database import Database
from devkit.minicluster.history import ChangeType
from devkit.minicluster.resources import SECRETS
from devkit.minicluster.statuses import StatusError
from k8s_hub.objects.keys import Key

START = datetime(2026, 1, 1, tzinfo=UTC)


def secret(name, namespace="default", **fields):
    return {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": namespace},
        **fields,
    }


@pytest.fixture
def database():
    return Database(now=lambda: START, files=None, history_limit=3)


def names_at(database, version):
    return sorted(key.name for key in database.records_at(version, SECRETS, "default"))


def test_versions_begin_at_the_clock_and_rise_with_each_change(database):
    assert database.version == int(START.timestamp() * 1_000_000)
    made = database.create(SECRETS, secret("a"))
    assert int(made.obj["metadata"]["resourceVersion"]) == database.version


def test_an_update_that_changes_nothing_is_no_change(database):
    database.create(SECRETS, secret("a"))
    before = database.version
    database.update(SECRETS, Key("default", "a"), dict)
    assert database.version == before


def test_what_is_not_there_is_neither_updated_nor_removed(database):
    key = Key("default", "a")
    assert database.update(SECRETS, key, dict) is None
    assert database.remove(SECRETS, key) is None


def test_listeners_hear_each_change_with_before_and_after(database):
    heard = []
    database.subscribe(lambda kind, change: heard.append((kind.plural, change)))
    key = Key("default", "a")
    database.create(SECRETS, secret("a"))
    database.update(SECRETS, key, lambda obj: {**obj, "type": "new"})
    database.remove(SECRETS, key)
    assert [(plural, change.type) for plural, change in heard] == [
        ("secrets", ChangeType.ADDED),
        ("secrets", ChangeType.MODIFIED),
        ("secrets", ChangeType.DELETED),
    ]
    assert heard[1][1].before.obj["metadata"]["uid"] == heard[1][1].after.obj["metadata"]["uid"]
    assert heard[2][1].after.obj["metadata"]["resourceVersion"] == str(database.version)


def test_the_past_can_be_listed(database):
    database.create(SECRETS, secret("a"))
    first = database.version
    database.create(SECRETS, secret("b"))
    database.remove(SECRETS, Key("default", "a"))
    assert (names_at(database, first), names_at(database, database.version)) == (["a"], ["b"])


def test_the_past_of_one_namespace_is_not_mixed_with_another(database):
    database.create(SECRETS, secret("a"))
    first = database.version
    database.create(SECRETS, secret("a", "other"))
    database.remove(SECRETS, Key("other", "a"))
    assert names_at(database, first) == ["a"]


@pytest.mark.parametrize("version", [0, 10**18])
def test_a_past_that_is_forgotten_and_a_future_are_410(database, version):
    with pytest.raises(StatusError) as caught:
        names_at(database, version)
    assert caught.value.code == 410


def test_only_the_latest_changes_are_kept(database):
    versions = []
    for number in range(7):
        database.create(SECRETS, secret(f"s-{number}"))
        versions.append(database.version)
    history = database.history(SECRETS)
    assert [change.version for change in history.after(history.oldest)] == versions[-3:]


def test_compaction_forgets_everything_up_to_now(database):
    database.create(SECRETS, secret("a"))
    before = database.version - 1
    database.compact()
    history = database.history(SECRETS)
    history.check(database.version, database.version)
    with pytest.raises(StatusError, match="too old resource version"):
        history.check(before, database.version)
