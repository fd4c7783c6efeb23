import copy

from k8s_hub.manifests.claim import ClaimInputs, ClaimMount, build_claim
from k8s_hub.manifests.pod import PodInputs, build_pod
from tests.manifests import golden


def test_the_charts_defaults_give_kubespawners_claim():
    assert build_claim(golden.claim_inputs()) == golden.load("golden_pvc.json")


def test_a_storage_class_is_written_in_the_new_and_the_old_spelling():
    claim = build_claim(ClaimInputs(pvc_name="c", storage_class="fast", annotations={"a": "b"}))
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["metadata"]["annotations"] == {"a": "b", "volume.beta.kubernetes.io/storage-class": "fast"}


def test_the_empty_storage_class_is_a_choice():
    claim = build_claim(ClaimInputs(pvc_name="c", storage_class=""))
    assert claim["spec"]["storageClassName"] == ""
    assert claim["metadata"]["annotations"] == {"volume.beta.kubernetes.io/storage-class": ""}


def test_no_storage_class_leaves_the_choice_to_the_cluster():
    claim = build_claim(ClaimInputs(pvc_name="c"))
    assert "storageClassName" not in claim["spec"]
    assert claim["metadata"]["annotations"] == {}


def test_a_selector_is_written_if_there_is_one():
    assert build_claim(ClaimInputs(pvc_name="c", storage_selector={"matchLabels": {"a": "b"}}))["spec"][
        "selector"
    ] == {"matchLabels": {"a": "b"}}
    assert "selector" not in build_claim(ClaimInputs(pvc_name="c"))["spec"]


def test_a_missing_capacity_and_mode_are_the_api_servers_to_refuse():
    claim = build_claim(ClaimInputs(pvc_name="c", storage_access_modes=None))
    assert claim["spec"] == {"resources": {"requests": {}}}


def test_the_claim_shares_nothing_with_its_inputs():
    inputs = ClaimInputs(pvc_name="c", storage_selector={"matchLabels": {"a": "b"}}, labels={"l": "1"})
    before = copy.deepcopy(inputs)
    claim = build_claim(inputs)
    claim["spec"]["selector"]["matchLabels"]["a"] = "changed"
    claim["metadata"]["labels"]["l"] = "changed"
    assert inputs == before


def test_a_further_claim_is_mounted_behind_the_admins_own_volumes():
    mount = ClaimMount(
        volume_name="extra-data", claim_name="data--ada", mount_path="/data", sub_path="ada", read_only=True
    )
    plain = ClaimMount(volume_name="extra-x", claim_name="x--ada", mount_path="/x")
    spec = build_pod(
        PodInputs(
            pod_name="p",
            image="i",
            volumes=[{"name": "home"}],
            volume_mounts=[{"name": "home", "mountPath": "/home"}],
            claim_mounts=[mount, plain],
        )
    )["spec"]
    assert spec["volumes"] == [
        {"name": "home"},
        {"name": "extra-data", "persistentVolumeClaim": {"claimName": "data--ada"}},
        {"name": "extra-x", "persistentVolumeClaim": {"claimName": "x--ada"}},
    ]
    assert spec["containers"][0]["volumeMounts"] == [
        {"name": "home", "mountPath": "/home"},
        {"name": "extra-data", "mountPath": "/data", "subPath": "ada", "readOnly": True},
        {"name": "extra-x", "mountPath": "/x"},
    ]
