"""Bodies that would break whoever reads them are refused, and the field is named."""

import pytest

from devkit.minicluster.resources import CLAIMS, PODS, SECRETS
from devkit.minicluster.shapes import check_shape
from devkit.minicluster.statuses import StatusError
from tests.devkit.minicluster.material import PODS as POD_PATH
from tests.devkit.minicluster.material import claim, is_in, pod, pod_with_claim, secret


def with_container(**fields):
    return pod(container=fields)


def owned(**reference):
    return {**secret(), "metadata": {"name": "a", "ownerReferences": [reference]}}


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (
            PODS,
            with_container(env=[{"name": "A", "value": 1}]),
            "spec.containers[0].env[0].value is not a string: 1",
        ),
        (PODS, with_container(args="lab"), "spec.containers[0].args is not a list: 'lab'"),
        (
            PODS,
            with_container(resources={"requests": {"memory": "lots"}}),
            "spec.containers[0].resources.requests[memory] is not a quantity: 'lots'",
        ),
        (
            PODS,
            with_container(resources={"limits": {"cpu": True}}),
            "resources.limits[cpu] is not a quantity",
        ),
        (PODS, with_container(ports=[{"containerPort": "http"}]), "containerPort is not a number: 'http'"),
        (PODS, with_container(volumeMounts={}), "spec.containers[0].volumeMounts is not a list"),
        (PODS, pod(nodeSelector=["gpu"]), "spec.nodeSelector is not an object: ['gpu']"),
        (PODS, pod(nodeSelector={"gpu": True}), "spec.nodeSelector[gpu] is not a string: True"),
        (PODS, {**pod(), "spec": "x"}, "spec is not an object"),
        (PODS, {**pod(), "metadata": {"labels": "a"}}, "metadata.labels is not an object: 'a'"),
        (CLAIMS, claim(resources={"requests": {"storage": "10 GB"}}), "is not a quantity: '10 GB'"),
        (SECRETS, {**secret(), "stringData": {"a": 1}}, "stringData[a] is not a string: 1"),
    ],
)
def test_a_value_of_another_type_is_400(kind, body, said):
    with pytest.raises(StatusError) as caught:
        check_shape(kind, body)
    assert caught.value.code == 400
    assert said in caught.value.message
    assert caught.value.message.startswith(
        f'{kind.kind} in version "v1" cannot be handled as a {kind.kind}: '
    )


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        (PODS, {"metadata": {"name": "a"}}, "spec"),
        (PODS, {"metadata": {"name": "a"}, "spec": {"containers": []}}, "spec.containers"),
        (PODS, with_container(image=""), "spec.containers[0].image"),
        (PODS, with_container(name=None), "spec.containers[0].name"),
        (PODS, with_container(env=[{"value": "x"}]), "spec.containers[0].env[0].name"),
        (PODS, pod(volumes=[{"emptyDir": {}}]), "spec.volumes[0].name"),
        (PODS, pod_with_claim(claim_name=""), "spec.volumes[0].persistentVolumeClaim.claimName"),
        (CLAIMS, {"metadata": {"name": "a"}, "spec": {"accessModes": ["x"]}}, "spec.resources"),
        (SECRETS, owned(kind="Pod", name="p"), "metadata.ownerReferences[0].uid"),
    ],
)
def test_a_needed_field_that_is_missing_is_422(kind, body, path):
    with pytest.raises(StatusError) as caught:
        check_shape(kind, body)
    cause = {"reason": "FieldValueRequired", "message": "Required value", "field": path}
    assert (caught.value.code, caught.value.details["causes"]) == (422, [cause])


@pytest.mark.parametrize("body", [pod(), pod_with_claim(), pod(volumes=None, nodeSelector=None)])
def test_null_is_the_same_as_absent(body):
    check_shape(PODS, body)


@pytest.mark.looptime
async def test_a_broken_pod_does_not_break_the_node(cluster, client):
    assert (await client.call("POST", POD_PATH, with_container(ports=[{}]))).code == 422
    await client.create(POD_PATH, pod("good"))
    await client.eventually(f"{POD_PATH}/good", is_in("Running"))
