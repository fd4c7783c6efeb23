"""What is added to a body, and which bodies are none."""

import pytest

from devkit.minicluster.admission import admit, requested_name
from devkit.minicluster.resources import CLAIMS, NAMESPACES, PODS, SECRETS, SERVICES
from devkit.minicluster.statuses import StatusError
from tests.devkit.minicluster.material import claim, pod, secret


@pytest.mark.parametrize(
    ("kind", "body", "code", "said"),
    [
        (PODS, [], 400, "the body is not a JSON object"),
        (PODS, {"kind": "Secret"}, 400, "Secret in version 'v1' cannot be handled as a Pod"),
        (PODS, {"apiVersion": "v2"}, 400, "Pod in version 'v2' cannot be handled as a Pod"),
        (PODS, {"metadata": []}, 400, "the metadata of the Pod is not a JSON object"),
        (PODS, {"metadata": {}}, 422, "name or generateName is required"),
        (PODS, {"metadata": {"name": 1}}, 400, "metadata.name of the Pod is not a string: 1"),
        (PODS, {"metadata": {"name": "a" * 254}}, 422, "must be no more than 253 characters"),
        (SERVICES, {"metadata": {"name": "a" * 64}}, 422, "must be no more than 63 characters"),
        (SERVICES, {"metadata": {"name": "a.b"}}, 422, "Invalid value"),
        (
            PODS,
            {"metadata": {"name": "a", "namespace": "b"}},
            400,
            "namespace of the provided object does not",
        ),
    ],
)
def test_a_body_that_cannot_be_is_refused(kind, body, code, said):
    with pytest.raises(StatusError, match=said) as caught:
        admit(kind, "default", body, "")
    assert caught.value.code == code


def test_the_body_is_left_as_it_is():
    body = secret()
    admit(SECRETS, "default", body, "")
    assert body == secret()


def test_what_only_the_server_may_say_is_not_taken_from_the_client():
    body = pod()
    body["metadata"] |= {"uid": "mine", "resourceVersion": "1", "deletionTimestamp": "now"}
    body["status"] = {"phase": "Running"}
    made = admit(PODS, "default", body, "")
    assert made["metadata"] == {"name": "a", "namespace": "default"}
    assert made["status"] == {"phase": "Pending"}


@pytest.mark.parametrize(("asked", "given"), [(None, "fast"), ("", ""), ("slow", "slow")])
def test_a_claim_without_a_class_gets_the_default_one(asked, given):
    made = admit(CLAIMS, "default", claim(storageClassName=asked), "fast")
    assert made["spec"]["storageClassName"] == given


def test_a_namespace_is_labelled_with_its_name():
    made = admit(NAMESPACES, None, {"metadata": {"name": "team", "labels": {"a": "b"}}}, "")
    assert made["metadata"]["labels"] == {"a": "b", "kubernetes.io/metadata.name": "team"}


@pytest.mark.parametrize(
    ("body", "name"),
    [(pod("a"), "a"), ({"metadata": {"generateName": "g-"}}, "g-"), (None, ""), ({"metadata": 1}, "")],
)
def test_fault_rules_see_the_name_that_is_asked_for(body, name):
    assert requested_name(body) == name
