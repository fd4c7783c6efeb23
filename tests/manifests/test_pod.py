import copy

import pytest

from k8s_hub.manifests.casing import ManifestError
from k8s_hub.manifests.pod import PodInputs, build_pod
from tests.manifests import golden


def pod(**traits):
    return build_pod(PodInputs(pod_name="jupyter-ada", image="lab:1", **traits))


def spec(**traits):
    return pod(**traits)["spec"]


def notebook(**traits):
    return spec(**traits)["containers"][0]


def test_the_charts_defaults_give_kubespawners_pod():
    assert build_pod(golden.pod_inputs()) == golden.load("golden_pod.json")


def test_the_least_pod():
    assert pod() == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "jupyter-ada", "labels": {}, "annotations": {}},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "notebook",
                    "image": "lab:1",
                    "ports": [{"name": "notebook-port", "containerPort": 8888}],
                    "env": [],
                    "resources": {"limits": {}, "requests": {}},
                    "securityContext": {"allowPrivilegeEscalation": False},
                    "volumeMounts": [],
                }
            ],
            "imagePullSecrets": [],
            "restartPolicy": "OnFailure",
            "volumes": [],
        },
    }


def test_the_command_goes_to_args_so_that_the_images_entrypoint_runs():
    container = notebook(cmd=["jupyterhub-singleuser", "--debug"])
    assert container["args"] == ["jupyterhub-singleuser", "--debug"]
    assert "command" not in container


def test_working_dir_pull_policy_and_port_are_the_notebooks():
    container = notebook(working_dir="/srv", image_pull_policy="Always", port=9999)
    assert container["workingDir"] == "/srv"
    assert container["imagePullPolicy"] == "Always"
    assert container["ports"] == [{"name": "notebook-port", "containerPort": 9999}]


@pytest.mark.parametrize(
    "account, automount, expected",
    [
        (None, None, {"automountServiceAccountToken": False}),
        ("", None, {"automountServiceAccountToken": False}),
        ("sa", None, {"serviceAccountName": "sa"}),
        ("sa", False, {"serviceAccountName": "sa", "automountServiceAccountToken": False}),
        ("sa", True, {"serviceAccountName": "sa", "automountServiceAccountToken": True}),
        (None, True, {"automountServiceAccountToken": True}),
    ],
)
def test_the_clusters_api_is_out_of_reach_unless_asked_for(account, automount, expected):
    fields = spec(service_account=account, automount_service_account_token=automount)
    assert {key: value for key, value in fields.items() if "erviceAccount" in key} == expected


@pytest.mark.parametrize(
    "secrets, expected",
    [
        (["a", {"name": "b"}], [{"name": "a"}, {"name": "b"}]),
        ("a", [{"name": "a"}]),
        ([], []),
    ],
)
def test_pull_secrets_are_names_or_references(secrets, expected):
    assert spec(image_pull_secrets=secrets)["imagePullSecrets"] == expected


def test_no_pull_secrets_at_all_may_be_left_to_the_service_account():
    assert "imagePullSecrets" not in spec(image_pull_secrets=None)


def test_limits_and_guarantees_are_written_as_given_and_zero_is_none():
    resources = notebook(
        cpu_limit=2.0,
        cpu_guarantee=0.5,
        mem_limit=0,
        mem_guarantee=1024**3,
        extra_resource_limits={"nvidia.com/gpu": "1"},
        extra_resource_guarantees={"cpu": "1"},
    )["resources"]
    assert resources == {
        "limits": {"cpu": 2.0, "nvidia.com/gpu": "1"},
        "requests": {"cpu": "1", "memory": 1024**3},
    }


@pytest.mark.parametrize(
    "field, api_field",
    [("volumes", "volumes"), ("init_containers", "initContainers"), ("tolerations", "tolerations")],
)
def test_objects_may_be_a_list_or_a_dict_sorted_by_key(field, api_field):
    objects = [{"name": "z"}, {"name": "a"}]
    assert spec(**{field: objects})[api_field] == objects
    assert spec(**{field: {"1": objects[0], "2": objects[1]}})[api_field] == objects
    assert spec(**{field: {"2": objects[0], "1": objects[1]}})[api_field] == objects[::-1]


def test_extra_containers_follow_the_notebook():
    assert [c["name"] for c in spec(extra_containers=[{"name": "side"}])["containers"]] == [
        "notebook",
        "side",
    ]


def test_keys_of_objects_may_be_snake_case():
    fields = spec(
        volumes=[{"name": "v", "empty_dir": {}}],
        volume_mounts=[{"name": "v", "mount_path": "/v", "read_only": True, "sub_path": None}],
        init_containers=[{"name": "i", "image_pull_policy": "Always"}],
        tolerations=[{"key": "k", "toleration_seconds": 3}],
    )
    assert fields["volumes"] == [{"name": "v", "emptyDir": {}}]
    assert fields["containers"][0]["volumeMounts"] == [{"name": "v", "mountPath": "/v", "readOnly": True}]
    assert fields["initContainers"] == [{"name": "i", "imagePullPolicy": "Always"}]
    assert fields["tolerations"] == [{"key": "k", "tolerationSeconds": 3}]


def test_lifecycle_hooks_are_the_notebooks():
    hook = {"exec": {"command": ["sync"]}}
    assert notebook(lifecycle_hooks={"pre_stop": hook})["lifecycle"] == {"preStop": hook}
    assert notebook(lifecycle_hooks={"postStart": hook})["lifecycle"] == {"postStart": hook}


def test_extra_container_config_replaces_whole_fields_of_the_notebook():
    container = notebook(
        uid=1000, extra_container_config={"security_context": {"runAsUser": 9}, "envFrom": [], "ports": None}
    )
    assert container["securityContext"] == {"runAsUser": 9}
    assert container["envFrom"] == []
    assert "ports" not in container


def test_extra_pod_config_replaces_whole_fields_of_the_pod():
    fields = spec(
        tolerations=[{"key": "a"}],
        extra_pod_config={
            "tolerations": [{"key": "b"}],
            "host_ipc": True,
            "hostPID": True,
            "restart_policy": None,
        },
    )
    assert fields["tolerations"] == [{"key": "b"}]
    assert fields["hostIPC"] is True
    assert fields["hostPID"] is True
    assert "restartPolicy" not in fields


def test_scheduling_fields_are_written_where_set():
    fields = spec(scheduler_name="user-scheduler", priority_class_name="users", node_selector={"gpu": "yes"})
    assert fields["schedulerName"] == "user-scheduler"
    assert fields["priorityClassName"] == "users"
    assert fields["nodeSelector"] == {"gpu": "yes"}
    assert not {"schedulerName", "priorityClassName", "nodeSelector"} & spec(scheduler_name="").keys()


def test_security_contexts_and_affinity_find_their_places():
    fields = spec(uid=1000, fs_gid=100, pod_anti_affinity_required=[{"topology_key": "zone"}])
    assert fields["containers"][0]["securityContext"]["runAsUser"] == 1000
    assert fields["securityContext"] == {"fsGroup": 100}
    assert fields["affinity"] == {
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}
    }


def test_certificates_of_internal_ssl_are_mounted_and_named_in_the_environment():
    fields = spec(ssl_secret_name="jupyter-ada", secret_mount_path="/ssl/", volumes=[{"name": "home"}])
    container = fields["containers"][0]
    assert fields["volumes"] == [
        {"name": "home"},
        {"name": "jupyterhub-internal-certs", "secret": {"secretName": "jupyter-ada", "defaultMode": 511}},
    ]
    assert container["volumeMounts"] == [{"name": "jupyterhub-internal-certs", "mountPath": "/ssl/"}]
    assert {entry["name"]: entry["value"] for entry in container["env"]} == {
        "JUPYTERHUB_SSL_KEYFILE": "/ssl/ssl.key",
        "JUPYTERHUB_SSL_CERTFILE": "/ssl/ssl.crt",
        "JUPYTERHUB_SSL_CLIENT_CA": "/ssl/notebooks-ca_trust.crt",
    }


def test_bad_input_is_refused_by_the_name_the_admin_knows():
    with pytest.raises(ManifestError, match=r"extra_containers\[1\] must be a dictionary, not a text"):
        pod(extra_containers=[{"name": "a"}, "side"])
    with pytest.raises(ManifestError, match="extra_pod_config must be a dict"):
        pod(extra_pod_config=["hostIPC"])


def test_the_pod_shares_nothing_with_its_inputs():
    inputs = golden.pod_inputs()
    before = copy.deepcopy(inputs)
    made = build_pod(inputs)
    made["spec"]["initContainers"][0]["securityContext"]["privileged"] = False
    made["spec"]["tolerations"].clear()
    made["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "other"
    made["metadata"]["labels"].clear()
    assert inputs == before
