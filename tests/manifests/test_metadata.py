from k8s_hub.manifests.metadata import (
    MetadataInputs,
    annotations,
    build_namespace,
    claim_labels,
    pod_labels,
    shared_labels,
)


def inputs(**changed):
    return MetadataInputs(
        **{
            "username": "jane.doe@example.org",
            "servername": "",
            "common_labels": {"app": "jupyterhub"},
            "component_label": "singleuser-server",
            "kubespawner_version": "7.1.0",
            "jupyterhub_version": "6.1.1",
            **changed,
        }
    )


def test_shared_labels_name_the_user_as_a_valid_label():
    assert shared_labels(inputs(), {}) == {
        "hub.jupyter.org/username": "jane-doe-example-org---7f73355b",
        "app": "jupyterhub",
    }


def test_extra_labels_win_over_the_user_and_common_labels_over_both():
    labels = shared_labels(
        inputs(common_labels={"app": "common"}), {"app": "extra", "hub.jupyter.org/username": "extra"}
    )
    assert labels == {"app": "common", "hub.jupyter.org/username": "extra"}


def test_the_component_and_server_labels_of_a_pod_win_over_all():
    theirs = dict.fromkeys(["component", "app.kubernetes.io/component", "hub.jupyter.org/servername"], "x")
    labels = pod_labels(inputs(servername="My GPU"), theirs)
    assert labels["component"] == labels["app.kubernetes.io/component"] == "singleuser-server"
    assert labels["hub.jupyter.org/servername"] == "my-gpu---20462888"


def test_the_default_servers_label_is_empty():
    assert pod_labels(inputs(), {})["hub.jupyter.org/servername"] == ""


def test_a_claim_is_storage_of_the_server_component_and_has_no_server_label():
    labels = claim_labels(inputs(component_label="labs"), {"tier": "home"})
    assert labels["component"] == "singleuser-storage"
    assert labels["app.kubernetes.io/component"] == "labs"
    assert labels["tier"] == "home"
    assert "hub.jupyter.org/servername" not in labels


def test_annotations_name_user_and_server_as_they_are_written():
    assert annotations(inputs(servername="My GPU"), {}) == {
        "hub.jupyter.org/username": "jane.doe@example.org",
        "hub.jupyter.org/servername": "My GPU",
        "hub.jupyter.org/kubespawner-version": "7.1.0",
        "hub.jupyter.org/jupyterhub-version": "6.1.1",
    }


def test_the_default_server_has_no_server_annotation():
    assert "hub.jupyter.org/servername" not in annotations(inputs(), {})


def test_extra_annotations_win():
    assert annotations(inputs(), {"hub.jupyter.org/username": "x"})["hub.jupyter.org/username"] == "x"


def test_a_namespace_has_labels_and_annotations():
    assert build_namespace("n", {"a": "b"}, {"c": "d"}) == {
        "metadata": {"name": "n", "labels": {"a": "b"}, "annotations": {"c": "d"}}
    }
