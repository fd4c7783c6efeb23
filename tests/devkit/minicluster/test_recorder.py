"""Events are counted when repeated, and kept for an hour."""

from datetime import UTC, datetime, timedelta

import pytest

from devkit.minicluster.database import Database
from devkit.minicluster.recorder import KUBELET, Recorder
from devkit.minicluster.resources import EVENTS, NAMESPACES, PODS
from k8s_hub.objects.keys import key_of


class Watch:
    """A clock that a test sets."""

    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Watch()


@pytest.fixture
def database(clock):
    database = Database(now=clock, files=None, history_limit=100)
    database.create(NAMESPACES, typed("Namespace", {"name": "default"}))
    return database


@pytest.fixture
def subject(database):
    return database.create(PODS, typed("Pod", {"name": "a", "namespace": "default"})).obj


def typed(kind, metadata):
    return {"kind": kind, "apiVersion": "v1", "metadata": metadata}


def told(database):
    return sorted((event["reason"], event["count"], event["type"]) for event in database.all(EVENTS))


def test_the_same_thing_said_again_counts_up(database, subject, clock):
    recorder = Recorder(database, clock)
    recorder.emit(subject, "BackOff", "again", by=KUBELET, is_warning=True)
    clock.now += timedelta(minutes=1)
    recorder.emit(subject, "BackOff", "again", by=KUBELET, is_warning=True)
    recorder.emit(subject, "Pulled", "there", by=KUBELET)
    assert told(database) == [("BackOff", 2, "Warning"), ("Pulled", 1, "Normal")]
    event = next(event for event in database.all(EVENTS) if event["count"] == 2)
    assert (event["firstTimestamp"], event["lastTimestamp"]) == (
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:01:00Z",
    )
    assert event["involvedObject"]["uid"] == subject["metadata"]["uid"]


def test_an_event_that_a_client_deleted_may_be_said_again_and_expires_too(database, subject, clock):
    recorder = Recorder(database, clock)
    recorder.emit(subject, "Started", "started", by=KUBELET)
    database.remove(EVENTS, key_of(next(database.all(EVENTS))))
    recorder.emit(subject, "Started", "started", by=KUBELET)
    assert told(database) == [("Started", 1, "Normal")]
    clock.now += timedelta(minutes=61)
    recorder.emit(subject, "Pulled", "there", by=KUBELET)
    assert told(database) == [("Pulled", 1, "Normal")]


def test_an_event_is_gone_after_an_hour_and_may_be_said_anew(database, subject, clock):
    recorder = Recorder(database, clock)
    recorder.emit(subject, "Started", "started", by=KUBELET)
    clock.now += timedelta(minutes=61)
    recorder.emit(subject, "Started", "started", by=KUBELET)
    assert told(database) == [("Started", 1, "Normal")]
