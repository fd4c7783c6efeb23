import pytest

from k8s_hub.manifests.casing import ManifestError
from k8s_hub.manifests.security import container_security_context, pod_security_context


def container(**changed):
    return container_security_context(
        **{
            "uid": None,
            "gid": None,
            "privileged": False,
            "allow_privilege_escalation": False,
            "configured": None,
            **changed,
        }
    )


def pod(**changed):
    return pod_security_context(**{"fs_gid": None, "supplemental_gids": None, "configured": None, **changed})


def test_a_container_may_not_gain_privileges_by_default():
    assert container() == {"allowPrivilegeEscalation": False}


def test_none_leaves_privilege_escalation_to_the_cluster():
    assert container(allow_privilege_escalation=None) is None


def test_user_and_group_may_be_root():
    assert container(uid=0, gid=0, allow_privilege_escalation=None) == {"runAsUser": 0, "runAsGroup": 0}


def test_privileged_is_written_only_if_true():
    assert container(privileged=True)["privileged"] is True
    assert "privileged" not in container(privileged=False)


def test_the_configured_context_wins_key_by_key():
    configured = {"runAsUser": 5, "capabilities": {"drop": ["ALL"]}}
    assert container(uid=1000, gid=100, configured=configured) == {
        "runAsUser": 5,
        "runAsGroup": 100,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_groups_belong_to_the_pod():
    assert pod(fs_gid=100, supplemental_gids=[1, "2"]) == {"fsGroup": 100, "supplementalGroups": [1, 2]}


def test_the_root_group_may_own_volumes():
    assert pod(fs_gid=0) == {"fsGroup": 0}


def test_the_configured_context_of_the_pod_wins_key_by_key():
    configured = {"fsGroup": 7, "fsGroupChangePolicy": "OnRootMismatch"}
    assert pod(fs_gid=100, supplemental_gids=[1], configured=configured) == {
        "fsGroup": 7,
        "supplementalGroups": [1],
        "fsGroupChangePolicy": "OnRootMismatch",
    }


def test_an_empty_context_is_none():
    assert pod(configured={}) is None


@pytest.mark.parametrize(
    "build, field", [(container, "container_security_context"), (pod, "pod_security_context")]
)
def test_a_snake_case_key_is_refused_by_name(build, field):
    with pytest.raises(ManifestError, match=f"{field} has the key 'run_as_user'.*'runAsUser'"):
        build(configured={"run_as_user": 1})


@pytest.mark.parametrize(
    "build, field, value",
    [
        (container, "uid", "me"),
        (container, "gid", []),
        (container, "uid", float("inf")),
        (container, "uid", float("nan")),
        (pod, "fs_gid", "me"),
        (pod, "supplemental_gids", ["me"]),
    ],
)
def test_an_id_that_is_no_number_is_refused_by_name(build, field, value):
    with pytest.raises(ManifestError, match=f"{field} must be an integer"):
        build(**{field: value})


def test_groups_that_are_no_list_are_refused_by_name():
    with pytest.raises(ManifestError, match="supplemental_gids must be a list, not a number"):
        pod(supplemental_gids=7)


@pytest.mark.parametrize(
    "build, field", [(container, "container_security_context"), (pod, "pod_security_context")]
)
def test_a_context_that_is_no_dict_is_refused_by_name(build, field):
    with pytest.raises(ManifestError, match=f"{field} must be a dictionary, not a number"):
        build(configured=7)
