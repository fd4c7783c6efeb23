"""All of it or an error: what a look leaves out would be taken for gone."""

import pytest

from devkit.minicluster.faults import FaultRule, refuse
from devkit.minicluster.resources import CLAIMS
from k8s_hub.hub.errors import BadReply, HubError, HubForbidden
from k8s_hub.kube.core.errors import KubeError
from k8s_hub.objects.keys import key_of
from k8s_hub.volumes import inventory
from k8s_hub.volumes.inventory import SCOPES, check_complete
from tests.volumes.conftest import key, run_once
from tests.volumes.objects import user

pytestmark = [pytest.mark.looptime, pytest.mark.hub]


async def test_claims_pods_and_all_users_with_their_stopped_servers(hub, sources, plant, cluster):
    plant("claim-gone", "gone")
    cluster.database.create(
        CLAIMS,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "other-app", "namespace": "default"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": "Bound"},
        },
    )
    async with hub() as hub:
        await run_once(hub, "ada", "gpu")
        await hub.start_server("bob")
        await hub.wait_ready("bob")
        async with sources(hub) as sources:
            found = await sources.read()

    assert {key_of(claim).name for claim in found.claims} == {"claim-ada--gpu", "claim-bob", "claim-gone"}
    assert found.mounts == {key("claim-bob"): ("jupyter-bob",)}
    servers = {user.name: {s.name: s.state.get("pvc_name") for s in user.servers} for user in found.users}
    assert servers.keys() == {"admin", "ada", "bob"}
    assert servers["ada"]["gpu"] == "claim-ada--gpu"
    assert servers["bob"] == {"": "claim-bob"}


async def test_users_on_many_pages_are_all_read(hub, sources, monkeypatch):
    monkeypatch.setattr(inventory, "PAGE_SIZE", 3)
    many = [f"u{number}" for number in range(11)]
    async with hub(users=many) as hub, sources(hub) as sources:
        found = await sources.read()
    assert sorted(user.name for user in found.users) == sorted(["admin", *many])


@pytest.mark.parametrize("missing", SCOPES)
async def test_a_token_without_one_of_the_scopes_sees_too_little(hub, sources, missing):
    async with hub() as hub, sources(hub, [scope for scope in SCOPES if scope != missing]) as sources:
        with pytest.raises(HubForbidden, match=f"lacks the scope .*{missing}"):
            await sources.read()


async def test_a_token_for_some_users_only_sees_too_little(hub, sources):
    scopes = ["list:users!user=ada", *(scope for scope in SCOPES if scope != "list:users")]
    async with hub() as hub, sources(hub, scopes) as sources:
        with pytest.raises(HubForbidden, match="lacks the scope list:users for all users"):
            await sources.read()


async def test_a_hub_that_is_away_is_an_error(hub, sources):
    async with hub() as hub, sources(hub) as sources:
        await hub.kill()
        with pytest.raises(HubError):
            await sources.read()


@pytest.mark.parametrize("resource", ["persistentvolumeclaims", "pods"])
@pytest.mark.parametrize("code", [403, 503])
async def test_a_list_that_the_cluster_refuses_is_an_error(hub, sources, cluster, resource, code):
    cluster.faults.add(
        FaultRule(
            verb="list", resource=resource, effect=refuse({"kind": "Status", "code": code, "message": "no"})
        )
    )
    async with hub() as hub, sources(hub) as sources:
        with pytest.raises(KubeError):
            await sources.read()


async def test_a_user_whose_servers_are_hidden_is_an_error():
    with pytest.raises(BadReply, match="did not return the servers of the user 'ada'"):
        check_complete(user("ada", default={"ready": True}))
