from datetime import UTC, datetime

import pytest

from k8s_hub.objects.keys import (
    Key,
    annotations_of,
    created_at,
    is_terminating,
    key_of,
    labels_of,
    metadata_of,
    oddity_of,
    phase_of,
    spec_of,
    status_of,
    uid_of,
    version_of,
)

POD = {
    "metadata": {
        "namespace": "jhub",
        "name": "jupyter-ada",
        "uid": "u-1",
        "resourceVersion": "42",
        "labels": {"app": "jupyterhub"},
        "annotations": {"a": "b"},
    }
}


def test_a_key_is_namespace_and_name():
    assert key_of(POD) == Key("jhub", "jupyter-ada")
    assert str(key_of(POD)) == "jhub/jupyter-ada"


def test_the_key_of_a_cluster_scoped_object_is_its_name():
    assert str(key_of({"metadata": {"name": "jhub"}})) == "jhub"


def test_labels_and_annotations_are_read():
    assert (labels_of(POD), annotations_of(POD)) == ({"app": "jupyterhub"}, {"a": "b"})


def test_uid_and_resource_version_are_read():
    assert (uid_of(POD), version_of(POD)) == ("u-1", "42")


def test_spec_status_phase_and_creation_are_read():
    obj = {
        "spec": {"a": 1},
        "status": {"phase": "Bound"},
        "metadata": {"creationTimestamp": "2026-07-01T12:00:00Z"},
    }
    assert (spec_of(obj), status_of(obj), phase_of(obj)) == (obj["spec"], obj["status"], "Bound")
    assert created_at(obj) == datetime(2026, 7, 1, 12, tzinfo=UTC)
    for other in ({}, {"spec": None, "status": None}, {"status": {"phase": None}, "metadata": {}}):
        assert (spec_of(other), phase_of(other), created_at(other)) == ({}, "", None)


def test_missing_and_null_metadata_are_empty():
    for obj in ({}, {"metadata": None}, {"metadata": {"labels": None, "annotations": None, "uid": None}}):
        assert (labels_of(obj), annotations_of(obj), uid_of(obj), version_of(obj)) == ({}, {}, "", "")
        assert key_of(obj) == Key("", "")


def test_an_object_is_dying_from_its_deletion_timestamp_on():
    assert not is_terminating(POD)
    assert not is_terminating({"metadata": {"deletionTimestamp": None}})
    assert is_terminating({"metadata": {"deletionTimestamp": "2026-07-01T12:00:00Z"}})


@pytest.mark.parametrize("odd", ["text", 5, [], [1], True])
def test_what_has_another_type_counts_as_missing(odd):
    assert metadata_of({"metadata": odd}) == spec_of({"spec": odd}) == status_of({"status": odd}) == {}
    for obj in ({"metadata": odd}, {"metadata": {"labels": odd, "annotations": odd}}):
        assert (labels_of(obj), annotations_of(obj)) == ({}, {})
        assert not is_terminating(obj)
    for obj in (
        {"metadata": odd},
        {"metadata": {part: [odd] for part in ("name", "namespace", "uid", "resourceVersion")}},
    ):
        assert (key_of(obj), uid_of(obj), version_of(obj)) == (Key("", ""), "", "")


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (POD, ""),
        ([POD], "it is not a JSON object"),
        (None, "it is not a JSON object"),
        ({}, "it has no name and no uid and no resourceVersion"),
        ({"metadata": POD["metadata"] | {"uid": 5}}, "it has no uid"),
        ({"metadata": POD["metadata"] | {"name": ""}}, "it has no name"),
        ({"metadata": POD["metadata"] | {"namespace": None}}, ""),
    ],
)
def test_what_no_api_server_stores_is_odd(obj, expected):
    assert oddity_of(obj) == expected
