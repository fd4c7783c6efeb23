"""The questions that rules ask."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from k8s_hub.diagnosis.observation import Role, component_of, first_seen, last_seen, message_of
from k8s_hub.diagnosis.refusals import MESSAGE_LIMIT
from tests.diagnosis.samples import STARTED, at, container, event, pod, seen


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
    assert message_of({"message": None}) == ""
    assert seen(pod(), None, event("Pulled", None)).pod_events(matching=re.compile("x")) == []


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-07-01T12:00:00", 7], ids=["none", "words", "no zone", "number"]
)
def test_an_event_with_an_odd_time_is_the_oldest_and_hides_no_others(text):
    odd = event("Pulled") | {"firstTimestamp": text, "lastTimestamp": text, "metadata": {"name": "odd"}}
    good = event("Pulling", second=1)
    assert seen(pod(), None, good, odd).pod_events() == [odd, good]


def test_of_a_message_as_much_is_read_as_is_worth_reading():
    assert len(message_of(event("Failed", "x" * 10**6))) == MESSAGE_LIMIT


def test_what_a_container_is_for():
    init = {"name": "fix-home"}, {"name": "mesh", "restartPolicy": "Always"}
    whole = pod(
        container("logs"),
        container(),
        names=("notebook", "logs"),
        spec={"initContainers": init, "containers": [{"name": "notebook"}, {"name": "logs"}]},
        status={"initContainerStatuses": [container("fix-home"), container("mesh")]},
    )
    observed = seen(whole)
    assert [observed.role_of(each) for each in observed.containers] == [
        Role.STEP,
        Role.SIDECAR,
        Role.SERVER,
        Role.BESIDE,
    ]


def test_who_says_it_is_found_wherever_it_stands():
    old, new = (
        event("A", source={"component": "kubelet"}),
        event("B", reportingComponent="karpenter", source={}),
    )
    assert [component_of(each) for each in (old, new, event("C"))] == ["kubelet", "karpenter", ""]
