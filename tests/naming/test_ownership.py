import copy

import pytest

from k8s_hub.naming.ownership import (
    ATTEMPT_ANNOTATION,
    SERVERNAME_ANNOTATION,
    USERNAME_ANNOTATION,
    Relation,
    ServerIdentity,
    has_release,
    is_ours,
    relation,
    with_attempt_id,
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
    assert relation(dying, DEFAULT, "m1") is Relation.DYING


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
