import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from k8s_hub.naming.ownership import (
    ATTEMPT_ANNOTATION,
    SERVERNAME_ANNOTATION,
    USER_ID_ANNOTATION,
    USERNAME_ANNOTATION,
    Relation,
    ServerIdentity,
    UserId,
    has_release,
    is_of_namesake,
    is_ours,
    relation,
    user_id_of,
    with_attempt_id,
    with_user_id,
)

DEFAULT = ServerIdentity(
    namespace="jhub",
    username="ada",
    servername="",
    release_labels={"release": "jhub", "app.kubernetes.io/instance": "jhub"},
)


def pod(namespace="jhub", labels=None, annotations=None, **metadata):
    return {
        "kind": "Pod",
        "metadata": {
            "namespace": namespace,
            "name": "jupyter-ada",
            "labels": {"release": "jhub"} if labels is None else labels,
            "annotations": {USERNAME_ANNOTATION: "ada"} if annotations is None else annotations,
            **metadata,
        },
    }


def test_a_pod_of_kubespawner_without_a_mark_is_ours_and_older():
    assert is_ours(pod(), DEFAULT)
    assert relation(pod(), DEFAULT, "m1") is Relation.OLDER


@pytest.mark.parametrize(
    "foreign",
    [
        pod(namespace="other"),
        pod(annotations={USERNAME_ANNOTATION: "bob"}),
        pod(annotations={}),
        pod(annotations={USERNAME_ANNOTATION: "ada", SERVERNAME_ANNOTATION: "gpu"}),
        pod(labels={"release": "staging"}),
        pod(labels={"release": "jhub", "app.kubernetes.io/instance": "staging"}),
    ],
    ids=["namespace", "user", "nobody", "server", "release", "instance"],
)
def test_what_differs_in_namespace_user_server_or_release_is_foreign(foreign):
    assert relation(with_attempt_id(foreign, "m1"), DEFAULT, "m1") is Relation.FOREIGN


def test_an_empty_servername_annotation_is_the_default_server():
    assert is_ours(pod(annotations={USERNAME_ANNOTATION: "ada", SERVERNAME_ANNOTATION: ""}), DEFAULT)


def test_a_named_server_is_not_the_default_server():
    gpu = ServerIdentity(namespace="jhub", username="ada", servername="gpu", release_labels={})
    assert not is_ours(pod(), gpu)
    assert is_ours(pod(annotations={USERNAME_ANNOTATION: "ada", SERVERNAME_ANNOTATION: "gpu"}), gpu)


def test_release_labels_count_only_where_both_sides_have_them():
    assert is_ours(pod(labels={}), DEFAULT)
    unlabelled = ServerIdentity(namespace="jhub", username="ada", servername="", release_labels={})
    assert is_ours(pod(labels={"release": "staging"}), unlabelled)


def test_our_mark_makes_it_this_attempt_and_another_mark_an_older_one():
    assert relation(with_attempt_id(pod(), "m1"), DEFAULT, "m1") is Relation.THIS_ATTEMPT
    assert relation(with_attempt_id(pod(), "m0"), DEFAULT, "m1") is Relation.OLDER


def test_ours_with_a_deletion_timestamp_is_dying_whatever_its_mark():
    dying = with_attempt_id(pod(deletionTimestamp="2026-07-01T12:00:00Z"), "m1")
    assert relation(dying, DEFAULT, "m1") is Relation.TERMINATING


def test_marking_leaves_the_object_given_as_it_is():
    original = pod()
    before = copy.deepcopy(original)
    with_mark = with_attempt_id(original, "m1")
    assert original == before
    assert with_mark["metadata"]["annotations"] == {USERNAME_ANNOTATION: "ada", ATTEMPT_ANNOTATION: "m1"}
    assert with_mark["metadata"]["labels"] == {"release": "jhub"}


def test_an_object_without_annotations_can_be_marked():
    assert with_attempt_id({"metadata": {"annotations": None}}, "m") == {
        "metadata": {"annotations": {ATTEMPT_ANNOTATION: "m"}}
    }


@pytest.mark.parametrize(
    "labels, hub, expected",
    [
        ({"release": "jhub"}, {"release": "jhub"}, True),
        ({"release": "jhub"}, {"release": "other"}, False),
        ({}, {"release": "jhub"}, None),
        ({"release": "jhub"}, {}, None),
        ({"release": "jhub"}, {"app.kubernetes.io/instance": "jhub"}, None),
        (
            {"release": "a", "app.kubernetes.io/instance": "b"},
            {"release": "a", "app.kubernetes.io/instance": "c"},
            False,
        ),
    ],
)
def test_whether_the_labels_name_a_release(labels, hub, expected):
    assert has_release({"metadata": {"labels": labels}}, hub) is expected


# --- Users beyond renames ---

CREATED = datetime(2026, 7, 1, 12, 0, 0, 250_000, tzinfo=UTC)
ADA = UserId(number=7, created=CREATED)
ADAS = replace(DEFAULT, user_id=ADA)


def test_a_user_id_is_read_as_it_was_written():
    assert str(ADA) == "7@2026-07-01T12:00:00.250000Z"
    elsewhere = CREATED.astimezone(timezone(timedelta(hours=2)))
    assert str(UserId(number=7, created=elsewhere)) == str(ADA)
    assert user_id_of(with_user_id(pod(), ADA)) == ADA


@pytest.mark.parametrize("text", ["", "7", "7@", "ada@2026-07-01T12:00:00Z", "7@2026-07-01T12:00:00", "@"])
def test_anything_else_is_no_user_id(text):
    assert UserId.parse(text) is None


@pytest.mark.parametrize("number", [0, -7, 2**31, 2**63])
def test_a_number_that_no_row_can_have_is_no_user_id(number):
    assert UserId.parse(f"{number}@2026-07-01T12:00:00Z") is None  # databases raise OverflowError, or worse


@pytest.mark.parametrize(
    "other, is_same",
    [
        ({}, True),
        ({"number": 8}, False),
        ({"created": CREATED + timedelta(microseconds=1)}, False),
        # A database without fractions cuts or rounds them.
        ({"created": CREATED.replace(microsecond=0)}, True),
        ({"created": CREATED.replace(microsecond=0) + timedelta(seconds=1)}, True),
        ({"created": CREATED.replace(microsecond=0) - timedelta(seconds=1)}, False),
    ],
)
def test_the_same_user(other, is_same):
    other = replace(ADA, **other)
    assert ADA.is_same(other) is other.is_same(ADA) is is_same


def test_a_pod_of_a_renamed_user_is_ours():
    earlier = with_user_id(pod(annotations={USERNAME_ANNOTATION: "earlier"}), ADA)
    assert is_ours(earlier, ADAS)
    assert not is_ours(earlier, replace(ADAS, servername="gpu"))
    assert not is_ours(earlier, replace(ADAS, namespace="other"))
    assert not is_ours(earlier, replace(ADAS, release_labels={"release": "staging"}))
    assert not is_ours(earlier, replace(ADAS, user_id=replace(ADA, number=8)))
    assert not is_ours(earlier, DEFAULT)


def test_a_pod_of_another_database_is_ours_by_its_name():
    assert is_ours(with_user_id(pod(), replace(ADA, number=1)), ADAS)


def test_a_pod_of_another_user_of_the_hub_is_foreign_also_if_it_has_our_users_name():
    others = with_user_id(pod(), replace(ADA, number=8))
    whose = replace(ADAS, other_users=[replace(ADA, number=8)])
    assert is_of_namesake(others, whose)
    assert relation(others, whose, "m1") is Relation.FOREIGN
    assert not is_of_namesake(pod(annotations={USERNAME_ANNOTATION: "bob"}), whose)
    assert not is_of_namesake(pod(), whose)


def test_without_an_id_nothing_is_marked():
    assert USER_ID_ANNOTATION not in with_user_id(pod(), None)["metadata"]["annotations"]
