"""None"""

import copy
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.manifests.casing import ManifestError
from k8s_hub.manifests.pod import (
    PodInputs,
    build_environment,
    build_pod,
    container_security_context,
    pod_security_context,
)
from tests.manifests import golden


def inputs_of(**traits):
    return PodInputs(pod_name="jupyter-ada", image="lab:1", **traits)


def pod(**traits):
    return build_pod(inputs_of(**traits))


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
    with pytest.raises(ManifestError, match=r"extra_containers\[1\] must be a dictionary, not a string"):
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


def container_context(*, configured=None, **changed):
    return container_security_context(inputs_of(container_security_context=configured, **changed))


def pod_context(*, configured=None, **changed):
    return pod_security_context(inputs_of(pod_security_context=configured, **changed))


def test_a_container_may_not_gain_privileges_by_default():
    assert container_context() == {"allowPrivilegeEscalation": False}


def test_none_leaves_privilege_escalation_to_the_cluster():
    assert container_context(allow_privilege_escalation=None) is None


def test_user_and_group_may_be_root():
    assert container_context(uid=0, gid=0, allow_privilege_escalation=None) == {
        "runAsUser": 0,
        "runAsGroup": 0,
    }


def test_privileged_is_written_only_if_true():
    assert container_context(privileged=True)["privileged"] is True
    assert "privileged" not in container_context(privileged=False)


def test_the_configured_context_wins_key_by_key():
    configured = {"runAsUser": 5, "capabilities": {"drop": ["ALL"]}}
    assert container_context(uid=1000, gid=100, configured=configured) == {
        "runAsUser": 5,
        "runAsGroup": 100,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_groups_belong_to_the_pod():
    assert pod_context(fs_gid=100, supplemental_gids=[1, "2"]) == {
        "fsGroup": 100,
        "supplementalGroups": [1, 2],
    }


def test_the_root_group_may_own_volumes():
    assert pod_context(fs_gid=0) == {"fsGroup": 0}


def test_the_configured_context_of_the_pod_wins_key_by_key():
    configured = {"fsGroup": 7, "fsGroupChangePolicy": "OnRootMismatch"}
    assert pod_context(fs_gid=100, supplemental_gids=[1], configured=configured) == {
        "fsGroup": 7,
        "supplementalGroups": [1],
        "fsGroupChangePolicy": "OnRootMismatch",
    }


def test_an_empty_context_is_none():
    assert pod_context(configured={}) is None


@pytest.mark.parametrize(
    "build, field", [(container_context, "container_security_context"), (pod_context, "pod_security_context")]
)
def test_a_snake_case_key_is_refused_by_name(build, field):
    with pytest.raises(ManifestError, match=f"{field} has the key 'run_as_user'.*'runAsUser'"):
        build(configured={"run_as_user": 1})


@pytest.mark.parametrize(
    "build, field, value",
    [
        (container_context, "uid", "me"),
        (container_context, "gid", []),
        (container_context, "uid", float("inf")),
        (container_context, "uid", float("nan")),
        (pod_context, "fs_gid", "me"),
        (pod_context, "supplemental_gids", ["me"]),
    ],
)
def test_an_id_that_is_no_number_is_refused_by_name(build, field, value):
    with pytest.raises(ManifestError, match=f"{field} must be an integer"):
        build(**{field: value})


def test_groups_that_are_no_list_are_refused_by_name():
    with pytest.raises(ManifestError, match="supplemental_gids must be a list, not a number"):
        pod_context(supplemental_gids=7)


@pytest.mark.parametrize(
    "build, field", [(container_context, "container_security_context"), (pod_context, "pod_security_context")]
)
def test_a_context_that_is_no_dict_is_refused_by_name(build, field):
    with pytest.raises(ManifestError, match=f"{field} must be a dictionary, not a number"):
        build(configured=7)


def order_of(env):
    return [entry["name"] for entry in build_environment(env)]


def test_variables_are_sorted_by_name():
    assert build_environment({"B": "2", "A": "1"}) == [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "2"},
    ]


def test_a_reference_stands_after_what_it_refers_to():
    assert order_of({"A": "$(C)/x", "B": "2", "C": "$(D)", "D": "4"}) == ["B", "D", "C", "A"]


def test_the_order_does_not_depend_on_the_order_given():
    env = {"A": "$(C)", "B": "$(NOWHERE)", "C": "3", "D": "$(D)"}
    orders = {tuple(order_of(dict(shuffled))) for shuffled in permutations(env.items())}
    assert orders == {("C", "D", "A", "B")}


def test_a_reference_to_a_variable_of_the_cluster_breaks_no_other_reference():
    env = {"API": "https://$(KUBERNETES_SERVICE_HOST)", "A_URL": "$(API)/x", "Z": "1"}
    assert order_of(env) == ["Z", "API", "A_URL"]


def test_a_circle_is_kept_in_the_order_of_names_behind_all_others():
    assert order_of({"B": "$(A)", "A": "$(B)", "Z": "1"}) == ["Z", "A", "B"]


def test_a_variable_without_value_keeps_its_name():
    assert build_environment({"A": None}) == [{"name": "A"}]


@pytest.mark.parametrize("key", ["valueFrom", "value_from"])
def test_a_value_may_come_from_elsewhere(key):
    source = {"secretKeyRef": {"name": "s", "key": "k"}}
    assert build_environment({"TOKEN": {key: source}}) == [{"name": "TOKEN", "valueFrom": source}]


def test_a_dict_may_carry_another_name_by_which_it_is_referred_to():
    assert order_of({"b": {"name": "REAL", "value": "1"}, "a": "$(REAL)"}) == ["REAL", "a"]


def test_the_environment_given_stays_as_it_is():
    env = {"TOKEN": {"value_from": {"secretKeyRef": {}}}, "A": "$(TOKEN)"}
    before = copy.deepcopy(env)
    build_environment(env)
    assert env == before


@pytest.mark.parametrize(
    "value, text",
    [
        (8888, "8888"),
        (0, "0"),
        (-1, "-1"),
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        ({"value": 7}, "7"),
        (10**18, "1000000000000000000"),
    ],
)
def test_numbers_and_booleans_become_text_as_yaml_writes_them(value, text):
    assert build_environment({"PORT": value}) == [{"name": "PORT", "value": text}]


@pytest.mark.parametrize(
    "value",
    [["secret"], {"value": ["secret"]}, b"secret", {"secret"}, float("inf"), float("nan"), 10**5000],
    ids=["list", "list as value", "bytes", "set", "infinite", "no number", "5,001 digits"],
)
def test_a_value_that_has_no_text_is_refused_by_name_without_showing_it(value):
    with pytest.raises(ManifestError, match=r"^environment\['PORT'\] (must be|is)") as refusal:
        build_environment({"PORT": value})
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("key", [5, None, True, ("A",)])
def test_a_name_that_is_no_text_is_refused(key):
    with pytest.raises(ManifestError, match=r"^environment has .* as the name of a variable"):
        build_environment({"A": "x", key: "secret"})


@pytest.mark.parametrize("name", [5, None, ["A"]])
def test_a_variable_without_a_name_is_refused(name):
    with pytest.raises(ManifestError, match=r"^environment\['A'\] must have a string as its name"):
        build_environment({"A": {"name": name, "value": "secret"}})


@given(
    st.permutations("ABCDEF"),
    st.lists(st.sets(st.integers(0, 5)), min_size=6, max_size=6),
    st.sets(st.sampled_from("ABCDEF")),
)
def test_references_without_a_circle_always_resolve(names, earlier, pointing_outside):
    references = {
        name: [names[place] for place in sorted(places) if place < names.index(name)]
        + ["CLUSTER"] * (name in pointing_outside)
        for name, places in zip(names, earlier, strict=True)
    }
    env = {name: "".join(f"$({other})" for other in others) for name, others in references.items()}
    order = order_of(env)
    assert sorted(order) == sorted(env)
    for name, others in references.items():
        assert all(order.index(other) < order.index(name) for other in others if other != "CLUSTER")
