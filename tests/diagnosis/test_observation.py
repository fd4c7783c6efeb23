"""The questions that rules ask."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from k8s_hub.diagnosis.observation import first_seen, last_seen, words_of
from tests.diagnosis.samples import STARTED, at, event, pod, seen


@pytest.mark.parametrize(
    "fields,first,last",
    [
        ({"firstTimestamp": at(1), "lastTimestamp": at(9)}, 1, 9),
        (
            {"firstTimestamp": None, "lastTimestamp": None, "eventTime": "2026-07-01T12:00:03.500000Z"},
            3.5,
            3.5,
        ),
        (
            {
                "firstTimestamp": None,
                "lastTimestamp": None,
                "eventTime": "2026-07-01T12:00:03.000000Z",
                "series": {"count": 2, "lastObservedTime": "2026-07-01T12:00:08.000000Z"},
            },
            3,
            8,
        ),
        ({"firstTimestamp": None, "lastTimestamp": None}, 7, 7),
    ],
    ids=["kubelet", "scheduler", "series", "bare"],
)
def test_an_events_times_are_found_wherever_its_writer_puts_them(fields, first, last):
    written = event("Any", second=7) | fields
    assert first_seen(written) == STARTED + timedelta(seconds=first)
    assert last_seen(written) == STARTED + timedelta(seconds=last)


def test_events_of_an_earlier_pod_of_the_same_name_are_not_this_pods():
    earlier, own = event("Pulled", uid="an-earlier-uid"), event("Pulled")
    assert seen(pod(), None, earlier, own).pod_events("Pulled") == [own]


def test_events_come_oldest_first():
    late, early = event("Pulled", second=9), event("Pulling", second=1)
    assert seen(pod(), None, late, early).pod_events() == [early, late]


def test_nothing_lasts_longer_than_this_attempt():
    """An unbound claim may be a week old; this start is not."""
    observation = seen(second=30)
    assert observation.lasting(datetime(2020, 1, 1, tzinfo=UTC)) == timedelta(seconds=30)
    assert observation.lasting(STARTED + timedelta(seconds=40)) == timedelta()


def test_an_event_may_say_nothing():
    assert words_of({"message": None}) == ""
    assert seen(pod(), None, event("Pulled", None)).pod_events(matching=re.compile("x")) == []
