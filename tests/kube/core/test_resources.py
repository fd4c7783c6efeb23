"""Paths are those of the Kubernetes API reference."""

import pytest

from k8s_hub.kube.core.resources import NAMESPACES, PODS, Resource

POLICIES = Resource(group="networking.k8s.io", plural="networkpolicies", kind="NetworkPolicy")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PODS.path("hub"), "/api/v1/namespaces/hub/pods"),
        (PODS.path("hub", "jupyter-ada"), "/api/v1/namespaces/hub/pods/jupyter-ada"),
        (PODS.path(None), "/api/v1/pods"),
        (NAMESPACES.path(None, "hub"), "/api/v1/namespaces/hub"),
        (NAMESPACES.path("", "hub"), "/api/v1/namespaces/hub"),
        (POLICIES.path("hub"), "/apis/networking.k8s.io/v1/namespaces/hub/networkpolicies"),
    ],
)
def test_path(path, expected):
    assert path == expected


def test_a_name_cannot_leave_its_place_in_the_path():
    assert PODS.path("hub", "../secrets/x?y") == "/api/v1/namespaces/hub/pods/..%2Fsecrets%2Fx%3Fy"


def test_api_version():
    assert (PODS.api_version, POLICIES.api_version) == ("v1", "networking.k8s.io/v1")
