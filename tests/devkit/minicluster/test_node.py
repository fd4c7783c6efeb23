"""Why a pod cannot run on the node, in the words of scheduler and kubelet."""

import pytest

from devkit.minicluster.node import Node, image_problem, scheduling_obstacle
from tests.devkit.minicluster.material import claim, pod, pod_with_claim

BOUND = claim() | {"status": {"phase": "Bound"}}
DYING = {**BOUND, "metadata": {"name": "home", "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def asking(**requests):
    return pod(container={"resources": {"requests": requests}})


@pytest.mark.parametrize(
    ("subject", "found", "cause"),
    [
        (pod(), None, None),
        (pod_with_claim(), BOUND, None),
        (pod_with_claim(), None, 'persistentvolumeclaim "home" not found'),
        (pod_with_claim(), DYING, 'persistentvolumeclaim "home" is being deleted'),
        (
            pod_with_claim(),
            claim() | {"status": {"phase": "Pending"}},
            "pod has unbound immediate PersistentVolumeClaims",
        ),
        (pod(nodeSelector={"kubernetes.io/os": "linux"}), None, None),
        (
            pod(nodeSelector={"kubernetes.io/os": "plan9"}),
            None,
            "1 node(s) didn't match Pod's node affinity/selector",
        ),
        (asking(memory="256Gi", cpu="64"), None, None),
        (asking(memory=274877906945), None, "1 Insufficient memory"),
        (asking(memory="1Ti", cpu="65"), None, "1 Insufficient cpu, 1 Insufficient memory"),
        (pod(container={"resources": {"limits": {"amd.com/gpu": 1}}}), None, "1 Insufficient amd.com/gpu"),
        (pod(container={"resources": {"limits": {"memory": "1Ti"}, "requests": {"memory": 1}}}), None, None),
        (pod(container={"resources": None}), None, None),
    ],
)
def test_the_scheduler_says_what_is_in_the_way(subject, found, cause):
    obstacle = scheduling_obstacle(subject, Node(), lambda _: found)
    if cause is None:
        assert obstacle is None
    else:
        assert obstacle == (
            f"0/1 nodes are available: {cause}. "
            "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        )


@pytest.mark.parametrize(
    "image",
    [
        "notebook",
        "quay.io/jupyter/base-notebook:2026-01-01",
        "localhost:5000/a/b__c:x",
        f"a@sha256:{'0' * 64}",
    ],
)
def test_well_formed_images_can_be_had(image):
    assert image_problem(image, None) is None


@pytest.mark.parametrize("image", ["", "Upper", "a b", "a:", "a//b", "-a"])
def test_other_images_are_invalid_names(image):
    assert image_problem(image, None).reason == "InvalidImageName"


def test_a_missing_image_cannot_be_had_and_all_others_can():
    missing = frozenset({"gone:1"})
    assert image_problem("gone:1", None, missing).reason == "ErrImagePull"
    assert image_problem("here:1", None, missing) is None


@pytest.mark.parametrize(
    "subject",
    [pod(nodeSelector={"pool": "users"}), pod(container={"resources": {"limits": {"amd.com/gpu": 1}}})],
)
def test_a_node_that_fits_all_has_every_label_and_device(subject):
    assert scheduling_obstacle(subject, Node(fits_all=True), lambda _: None) is None


def test_a_node_that_fits_all_is_still_no_larger():
    obstacle = scheduling_obstacle(asking(memory="1Ti"), Node(fits_all=True), lambda _: None)
    assert "1 Insufficient memory" in obstacle


def test_only_known_images_can_be_had_where_they_are_listed():
    known = frozenset({"here:1"})
    assert image_problem("here:1", known) is None
    assert image_problem("gone:1", known).back_off_reason == "ImagePullBackOff"
