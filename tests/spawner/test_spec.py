"""A spec is a snapshot of its spawner: later changes by hooks do not affect it."""

import pytest

from devkit.testing.bare import bare_spawner
from k8s_hub.spawner.database import HubDatabase
from k8s_hub.spawner.storage import home_request


def test_it_stays_as_it_was():
    spawner = bare_spawner("ada", "gpu")
    before = spawner._spec()

    spawner.pvc_name, spawner.pod_name, spawner.namespace = "mine", "other", "elsewhere"
    spawner.extra_claims = [{"name": "scratch", "capacity": "1Gi", "mount_path": "/s"}]
    after = spawner._spec()

    assert (before.home.current, before.pod_name, before.identity.namespace) == (
        "claim-ada--gpu",
        "jupyter-ada--gpu",
        "default",
    )
    assert before.extra_claims == ()
    assert (after.home.assigned_name, after.pod_name, after.identity.namespace) == (
        "mine",
        "other",
        "elsewhere",
    )
    assert [extra.name for extra in after.extra_claims] == ["scratch"]


def test_it_says_where_the_name_of_the_home_comes_from():
    spawner = bare_spawner()
    spawner.load_state({"pvc_name": "old", "kubespawner_version": "7.1.0"})
    database = HubDatabase(spawner.user, spawner.orm_spawner)

    request = home_request(spawner._spec(), database)
    spawner.pvc_name = "claim-ada"  # what the template says too

    assert (request.template_name, request.remembered_name, request.assigned_name) == (
        "claim-ada",
        "old",
        None,
    )
    assert home_request(spawner._spec(), database).assigned_name == "claim-ada"


def test_template_fields_are_those_of_the_spawner():
    spawner = bare_spawner("ada@x", "gpu", namespace="pods")
    spawner.pvc_name = "home"
    fields = spawner._spec().fields

    for name in (
        "user_server",
        "username",
        "servername",
        "pod_name",
        "pvc_name",
        "namespace",
        "hubnamespace",
    ):
        assert getattr(fields, name) == spawner._expand_user_properties(f"{{{name}}}")
    assert spawner._spec().fields_of("").user_server == bare_spawner("ada@x")._spec().fields.user_server


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        ({}, False),
        ({"pvc_name_template": "{username}"}, True),
        ({"extra_claims": [{"name": "a", "capacity": "1Gi", "mount_path": "/a"}]}, False),
        (
            {"extra_claims": [{"name": "a", "capacity": "1Gi", "mount_path": "/a", "name_template": "all"}]},
            True,
        ),
    ],
)
def test_claims_are_shared_where_a_template_gives_another_server_the_same(options, shares):
    assert bare_spawner(**options)._spec().shares_claims is shares
