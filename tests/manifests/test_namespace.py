from k8s_hub.manifests.metadata import build_namespace


def test_a_namespace_has_labels_and_annotations():
    assert build_namespace("n", {"a": "b"}, {"c": "d"}) == {
        "metadata": {"name": "n", "labels": {"a": "b"}, "annotations": {"c": "d"}}
    }
