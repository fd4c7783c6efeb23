"""Whatever an administrator's code returns as a manifest: what cannot be sent is refused, by its place."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.manifests.casing import ManifestError
from k8s_hub.manifests.checks import checked, checked_pod
from k8s_hub.manifests.pod import build_pod
from tests.manifests import golden


def pod(*, spec=None, container=None, metadata=None):
    return {
        "metadata": {"name": "jupyter-ada", **(metadata or {})},
        "spec": {"containers": [{"name": "notebook", **(container or {})}], **(spec or {})},
    }


def loop():
    endless = {}
    endless["again"] = endless
    return endless


def deep(levels):
    value = "secret"
    for _ in range(levels):
        value = [value]
    return value


def test_a_pod_that_can_be_sent_is_copied():
    built = build_pod(golden.pod_inputs())
    assert checked_pod(built) == built
    assert checked_pod(built)["metadata"] is not built["metadata"]


@pytest.mark.parametrize(
    "manifest, named",
    [
        (None, "a manifest must be a dictionary, not nothing"),
        (["secret"], "a manifest must be a dictionary, not a list"),
        ({}, "metadata is missing"),
        ({"metadata": {"labels": {}}, "spec": {"containers": [{}]}}, "metadata.name is missing"),
        (pod(metadata={"name": 7}), "metadata.name must be a string, not a number"),
        (pod(metadata={"labels": ["secret"]}), "metadata.labels must be a dictionary, not a list"),
        (pod(metadata={"labels": {"gpu": True}}), r"metadata.labels\['gpu'\] must be a string, not true or false"),
        (pod(metadata={"annotations": {"n": 1}}), r"metadata.annotations\['n'\] must be a string, not a number"),
        ({"metadata": {"name": "x"}, "spec": "secret"}, "spec must be a dictionary, not a string"),
        ({"metadata": {"name": "x"}, "spec": {}}, "spec.containers is missing"),
        (pod(spec={"containers": []}), "spec.containers is empty"),
        (pod(spec={"containers": "secret"}), "spec.containers must be a list, not a string"),
        (pod(spec={"containers": ["secret"]}), r"spec.containers\[0\] must be a dictionary, not a string"),
        (pod(spec={"initContainers": {"a": {}}}), "spec.initContainers must be a list, not a dictionary"),
        (pod(spec={"volumes": ["secret"]}), r"spec.volumes\[0\] must be a dictionary, not a string"),
        (
            pod(spec={"volumes": [{}, {"persistentVolumeClaim": {}}]}),
            r"spec.volumes\[1\].persistentVolumeClaim.claimName is missing",
        ),
        (pod(spec={"nodeName": 7}), "spec.nodeName must be a string, not a number"),
        (pod(spec={"nodeSelector": {"gpu": True}}), r"spec.nodeSelector\['gpu'\] must be a string"),
        (pod(spec={"affinity": "secret"}), "spec.affinity must be a dictionary, not a string"),
        (pod(container={"env": "secret"}), r"spec.containers\[0\].env must be a list, not a string"),
        (pod(container={"env": ["secret"]}), r"spec.containers\[0\].env\[0\] must be a dictionary, not a string"),
        (pod(container={"env": [{"value": "secret"}]}), r"spec.containers\[0\].env\[0\].name is missing"),
        (pod(container={"ports": ["secret"]}), r"spec.containers\[0\].ports\[0\] must be a dictionary"),
        (pod(container={"args": {"secret"}}), r"spec.containers\[0\].args cannot be a value of type set"),
        (pod(container={"args": [b"secret"]}), r"spec.containers\[0\].args\[0\] cannot be a value of type bytes"),
        (pod(container={"args": [1, object()]}), r"spec.containers\[0\].args\[1\] cannot be a value of type object"),
        (pod(container={5: "secret"}), r"spec.containers\[0\] has a number as a key"),
        (pod(container={"resources": {"limits": {"cpu": math.inf}}}), "limits.cpu is not a finite number"),
        (pod(container={"resources": {"limits": {"cpu": math.nan}}}), "limits.cpu is not a finite number"),
        (pod(container={"resources": {"limits": {"memory": 10**5000}}}), "limits.memory is a number with too many"),
        (pod(container={"image": "\ud800secret"}), r"spec.containers\[0\].image has a lone surrogate"),
        (pod(container={"\udc00": "secret"}), r"spec.containers\[0\] has a lone surrogate"),
        (pod(spec={"x": loop()}), "nested too deeply"),
        (pod(spec={"x": deep(100_000)}), "nested too deeply"),
    ],
)  # fmt: skip
def test_a_pod_that_cannot_be_read_or_sent_is_refused_by_its_place(manifest, named):
    with pytest.raises(
        ManifestError, match=f"^(spec.containers.0..resources.|a manifest is )?{named}"
    ) as refusal:
        checked_pod(manifest)
    assert "secret" not in str(refusal.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "name", "labels", "spec", "containers", "env", "value"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=20,
)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_what_passes_is_json_and_what_does_not_is_a_manifest_error(container, metadata, anything):
    candidates = [
        anything,
        {"metadata": metadata, "spec": anything},
        {"metadata": {"name": "x"}, "spec": {"containers": [container], "volumes": anything}},
    ]
    for candidate in candidates:
        try:
            passed = checked_pod(candidate)
        except ManifestError:
            continue
        assert json.loads(json.dumps(passed, allow_nan=False)) == passed


def test_objects_other_than_pods_need_a_name_and_labels_of_text():
    assert checked({"metadata": {"name": "claim"}, "spec": {"anything": [None]}})
    with pytest.raises(ManifestError, match=r"metadata.labels\['a'\] must be a string"):
        checked({"metadata": {"name": "claim", "labels": {"a": 1}}})
