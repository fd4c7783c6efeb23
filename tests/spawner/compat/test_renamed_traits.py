"""Option names that KubeSpawner has dropped work wherever an option can be set, and the log names the new one."""

import pytest
from jupyterhub.objects import Hub
from kubernetes_asyncio import client
from traitlets.config import Config

from devkit.testing.bare import bare_spawner
from k8s_hub import KubeSpawner
from k8s_hub.spawner.compat.renamed_traits import RENAMED
from k8s_hub.spawner.run_log import warn_once

VALUES = {
    "image": "registry/one:2",
    "image_pull_policy": "Always",
    "image_pull_secrets": ["regcred"],
    "working_dir": "/work",
    "service_account": "robot",
    "extra_labels": {"course": "maths"},
    "extra_annotations": {"course": "maths"},
    "node_selector": {"disktype": "ssd"},
    "uid": 1234,
    "fs_gid": 1234,
    "supplemental_gids": [5],
    "privileged": True,
    "allow_privilege_escalation": True,
    "lifecycle_hooks": {"postStart": {"exec": {"command": ["true"]}}},
    "extra_pod_config": {"hostIPC": True},
    "init_containers": [{"name": "first", "image": "busybox"}],
    "extra_container_config": {"tty": True},
    "extra_containers": [{"name": "beside", "image": "busybox"}],
    "storage_class": "fast",
    "storage_pvc_ensure": True,
    "storage_capacity": "3Gi",
    "storage_extra_labels": {"tier": "home"},
    "storage_access_modes": ["ReadWriteMany"],
}


@pytest.fixture(autouse=True)
def nothing_was_logged():
    warn_once.cache_clear()


def configured(section="KubeSpawner", spawner_class=KubeSpawner, **options):
    return bare_spawner(spawner_class=spawner_class, config=Config({section: options}))


@pytest.mark.parametrize("old", RENAMED)
async def test_an_old_name_in_the_configuration_sets_the_new_one(old, caplog):
    new = RENAMED[old]

    spawner = configured(**{old: VALUES[new]})

    assert getattr(spawner, new) == VALUES[new]
    assert caplog.messages == [f"KubeSpawner.{old} is deprecated: its name is KubeSpawner.{new}"]


@pytest.mark.parametrize("old", RENAMED)
async def test_an_old_name_on_a_spawner_is_the_new_one(old, caplog):
    new, spawner = RENAMED[old], bare_spawner()

    setattr(spawner, old, VALUES[new])

    assert getattr(spawner, old) == getattr(spawner, new) == VALUES[new]
    assert caplog.messages == [f"KubeSpawner.{old} is deprecated: its name is KubeSpawner.{new}"]


async def test_the_new_name_wins_where_both_are_set(caplog):
    spawner = configured(singleuser_uid=1, uid=2)

    assert spawner.uid == 2
    assert caplog.messages == [
        "KubeSpawner.singleuser_uid is ignored, because KubeSpawner.uid is set too: uid is its name"
    ]


async def test_an_old_name_is_taken_in_a_subclass_s_section_too(caplog):
    class Ours(KubeSpawner):
        pass

    config = Config({"KubeSpawner": {"uid": 1}, "Ours": {"singleuser_uid": 2}})

    assert bare_spawner(spawner_class=Ours, config=config).uid == 2
    assert caplog.messages == ["Ours.singleuser_uid is deprecated: its name is Ours.uid"]


async def test_an_old_name_in_a_profile_sets_the_new_one():
    override = {"singleuser_uid": 2, "image_spec": "one", "singleuser_extra_labels": {"course": "maths"}}
    profiles = [{"display_name": "Small", "kubespawner_override": override}]
    spawner = configured(profile_list=profiles, extra_labels={"tier": "labs"})
    spawner.user_options = {"profile": "small"}

    await spawner.load_user_options()

    assert (spawner.uid, spawner.image) == (2, "one")
    assert spawner.extra_labels == {"tier": "labs", "course": "maths"}


async def test_what_was_appended_to_an_old_name_is_there():
    config = Config()
    config.KubeSpawner.singleuser_init_containers.append(client.V1Container(name="first"))

    assert [container.name for container in bare_spawner(config=config).init_containers] == ["first"]


async def test_the_administrator_s_configuration_stays_as_it_is():
    config = Config({"KubeSpawner": {"singleuser_uid": 1, "image": "one"}})

    bare_spawner(config=config)

    assert config == {"KubeSpawner": {"singleuser_uid": 1, "image": "one"}}


async def test_a_hundred_spawners_warn_once(caplog):
    config = Config({"KubeSpawner": {"singleuser_uid": 1}, "PodReflector": {"timeout_seconds": 60}})

    for number in range(100):
        assert bare_spawner(f"user-{number}", config=config).uid == 1

    assert len(caplog.messages) == 2


async def test_options_of_reflectors_are_named_with_what_replaces_them(caplog):
    config = Config({"ResourceReflector": {"request_timeout": 60}, "PodReflector": {"restart_seconds": 5}})

    bare_spawner(config=config)

    (message,) = caplog.messages
    assert message.startswith(
        "ResourceReflector.request_timeout, PodReflector.restart_seconds: without effect"
    )
    assert "k8s_api_request_timeout" in message


async def test_a_configuration_of_today_is_not_commented_on(caplog):
    configured(**VALUES)

    assert caplog.messages == []


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "http://the-hub:8081/hub/api"),
        ({"hub_connect_ip": "10.1.2.3"}, "http://10.1.2.3:8081/hub/api"),
        ({"hub_connect_ip": "10.1.2.3", "hub_connect_port": 99}, "http://10.1.2.3:99/hub/api"),
        ({"hub_connect_ip": None}, "http://the-hub:8081/hub/api"),
    ],
)
async def test_where_servers_reach_the_hub_is_still_taken_from_the_spawner(options, url, monkeypatch, caplog):
    hub = Hub(ip="the-hub", port=8081, base_url="/hub/")
    monkeypatch.setattr("devkit.testing.bare.HUB", hub)

    configured(**options)

    assert hub.api_url == url
    assert [message.split(" ")[0] for message in caplog.messages] == [
        f"KubeSpawner.{name}" for name, value in options.items() if value
    ]


async def test_threads_for_requests_are_not_needed(caplog):
    configured(k8s_api_threadpool_workers=20)

    assert caplog.messages == [
        "KubeSpawner.k8s_api_threadpool_workers has no effect: requests to the Kubernetes API need no threads"
    ]
