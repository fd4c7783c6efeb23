"""A renamed server keeps its files, and a new server with the old name gets its own files."""

import jupyterhub
import pytest

from devkit.minicluster.faults import FaultRule, refuse
from devkit.minicluster.resources import CLAIMS, PODS
from devkit.testing.runs import NO_WAIT, claims, restart_process, struck
from k8s_hub.naming.ownership import SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import annotations_of, key_of
from tests.spawner.cells import AWAY, UP, cell
from tests.spawner.conftest import NAMESPACE

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

needs_rename = pytest.mark.skipif(
    jupyterhub.version_info < (6,), reason="servers can be renamed since JupyterHub 6"
)


def claim_names(cluster):
    return {key_of(claim).name for claim in claims(cluster)}


def mounts(cluster):
    """Return the claim of each running server by its name."""
    return {
        annotations_of(pod).get(SERVERNAME_ANNOTATION, ""): pod["spec"]["volumes"][0][
            "persistentVolumeClaim"
        ]["claimName"]
        for pod in cluster.database.all(PODS, NAMESPACE)
    }


def plant_claim(cluster, name, user, server=""):
    """A claim of an earlier version, of which no state says anything."""
    annotations = {USERNAME_ANNOTATION: user} | ({SERVERNAME_ANNOTATION: server} if server else {})
    cluster.database.create(
        CLAIMS,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": "Bound"},
        },
    )


async def start(hub, name=""):
    await hub.start_server("ada", name)
    await hub.wait_ready("ada", name)


async def stop(hub, name=""):
    await hub.stop_server("ada", name)
    await hub.wait_stopped("ada", name)


async def run_once(hub, name=""):
    await start(hub, name)
    await stop(hub, name)


async def rename(hub, old, new):
    """Rename as the hub's pages and API do; return status and body."""
    path = f"/users/ada/servers/{old}" if old else "/users/ada/server"
    return await hub.api("PATCH", path, json={"name": new})


async def renamed(hub, old, new):
    status, body = await rename(hub, old, new)
    assert status == 200, body


@cell("rename (JupyterHub 6)", UP)
@needs_rename
async def test_a_renamed_server_keeps_its_files(hub, cluster):
    async with hub() as hub:
        await run_once(hub, "a")
        await renamed(hub, "a", "b")
        await start(hub, "b")

        assert mounts(cluster) == {"b": "claim-ada--a"}
        assert claim_names(cluster) == {"claim-ada--a"}


@needs_rename
async def test_back_and_forth_and_over_a_restart_of_the_hub(hub, cluster):
    async with hub() as hub:
        await run_once(hub, "a")
        for old, new in (("a", "b"), ("b", "c"), ("c", "a")):
            await renamed(hub, old, new)
            await hub.kill()
            await restart_process()
            await hub.boot()
            await start(hub, new)
            assert mounts(cluster) == {new: "claim-ada--a"}
            await stop(hub, new)

        assert claim_names(cluster) == {"claim-ada--a"}


@needs_rename
async def test_a_new_server_of_the_old_name_gets_a_claim_of_its_own(hub, cluster):
    async with hub() as hub:
        await run_once(hub, "a")
        await renamed(hub, "a", "b")
        await start(hub, "a")
        await start(hub, "b")

        assert mounts(cluster) == {"a": "claim-ada--a--2", "b": "claim-ada--a"}


@needs_rename
async def test_a_renamed_default_server_and_the_new_one_do_not_share_a_claim(hub, cluster):
    async with hub() as hub:
        await run_once(hub)
        await renamed(hub, "", "x")
        await start(hub)
        await start(hub, "x")

        assert mounts(cluster) == {"": "claim-ada--2", "x": "claim-ada"}


@needs_rename
async def test_deleting_the_renamed_default_server_keeps_the_new_ones_files(hub, cluster):
    async with hub(delete_pvc=True) as hub:
        await run_once(hub)
        await renamed(hub, "", "x")
        await run_once(hub)
        assert await hub.stop_server("ada", "x", remove=True) == 204

        assert claim_names(cluster) == {"claim-ada--2"}


@needs_rename
async def test_the_renamed_default_servers_files_stay_as_long_as_the_new_one_has_none(hub, cluster):
    """Whose they are is only sure once the new default server has its own."""
    async with hub(delete_pvc=True) as hub:
        await run_once(hub)
        await renamed(hub, "", "x")
        await hub.stop_server("ada", "x", remove=True)

        assert claim_names(cluster) == {"claim-ada"}


@needs_rename
async def test_deleting_the_new_server_of_the_old_name_keeps_the_renamed_ones_files(hub, cluster):
    async with hub(delete_pvc=True) as hub:
        await run_once(hub, "a")
        await renamed(hub, "a", "b")
        await run_once(hub, "a")
        await hub.stop_server("ada", "a", remove=True)

        assert claim_names(cluster) == {"claim-ada--a"}


@needs_rename
async def test_a_deleted_user_takes_the_claims_of_renamed_servers_along(hub, cluster):
    async with hub(delete_pvc=True) as hub:
        await run_once(hub)
        await renamed(hub, "", "x")
        await run_once(hub)
        await hub.api("DELETE", "/users/ada")

        assert claim_names(cluster) == set()


@needs_rename
async def test_a_state_without_a_claims_name_learns_it_before_the_name_is_gone(hub, cluster):
    """As KubeSpawner before 7 left it: only the annotation tells, and that names the old server for ever."""
    plant_claim(cluster, "claim-ada-2da", "ada", "a")
    async with hub() as hub:
        await hub.api("POST", "/users/ada/servers/a")
        await hub.wait_ready("ada", "a")
        await stop(hub, "a")
        row = hub.app.users["ada"].orm_spawners["a"]
        row.state = {"pod_name": "jupyter-ada--a"}
        hub.app.db.commit()
        hub.app.users["ada"].spawners.pop("a", None)
        await renamed(hub, "a", "b")
        assert hub.app.users["ada"].orm_spawners["b"].state["pvc_name"] == "claim-ada-2da"
        await start(hub, "b")

        assert mounts(cluster) == {"b": "claim-ada-2da"}
        assert claim_names(cluster) == {"claim-ada-2da"}


@needs_rename
async def test_a_server_without_a_claim_is_renamed_without_more_ado(hub, cluster):
    async with hub() as hub:
        await run_once(hub)
        hub.app.users["ada"].get_or_create_spawner("a", "a")
        await renamed(hub, "a", "b")
        await start(hub, "b")

        assert mounts(cluster) == {"b": "claim-ada--b"}


class Away(FaultRule):
    """The API server says no to everything."""

    def __init__(self):
        super().__init__(effect=refuse({"kind": "Status", "code": 503, "message": "away"}))


@needs_rename
async def test_what_state_names_needs_no_cluster_to_be_renamed(hub, cluster):
    async with hub() as hub:
        await run_once(hub, "a")
        cluster.faults.add(Away())
        await renamed(hub, "a", "b")


@pytest.mark.slow
@cell("rename (JupyterHub 6)", AWAY)
@needs_rename
async def test_where_nobody_can_say_what_the_home_is_the_name_stays(hub, cluster):
    plant_claim(cluster, "claim-ada--a", "ada", "a")
    async with hub() as hub:
        hub.app.users["ada"].get_or_create_spawner("a", "a")
        away = cluster.faults.add(Away())
        status, body = await rename(hub, "a", "b")
        assert status == 503
        assert "the cluster did not respond" in body["message"]
        cluster.faults.remove(away)
        await renamed(hub, "a", "b")
        await start(hub, "b")

        assert mounts(cluster) == {"b": "claim-ada--a"}


@needs_rename
async def test_files_that_would_stay_behind_are_a_reason_to_refuse(hub, cluster):
    async with hub(remember_pvc_name=False) as hub:
        await run_once(hub, "a")
        status, body = await rename(hub, "a", "b")
        assert status == 409
        assert "KubeSpawner.remember_pvc_name is off" in body["message"]
        await start(hub, "a")

        assert mounts(cluster) == {"a": "claim-ada--a"}


@needs_rename
async def test_files_that_would_stay_behind_are_a_reason_to_refuse_after_a_failed_start_too(hub, cluster):
    """The hub keeps that spawner, which has the claim's name in memory and does not use it after the rename."""
    async with hub(remember_pvc_name=False, hub=NO_WAIT) as hub:
        await run_once(hub, "a")
        refused = refuse({"kind": "Status", "code": 403, "message": "no"})
        with struck(cluster, refused, "create", resource="pods"):
            await hub.start_server("ada", "a")
            await hub.wait_stopped("ada", "a", seconds=60)
        status, _ = await rename(hub, "a", "b")
        assert status == 409


@needs_rename
async def test_servers_that_share_the_users_home_are_renamed_whatever_is_remembered(hub, cluster):
    async with hub(remember_pvc_name=False, pvc_name_template="claim-{username}") as hub:
        await run_once(hub, "a")
        await renamed(hub, "a", "b")
        await start(hub, "b")

        assert mounts(cluster) == {"b": "claim-ada"}


async def test_a_renamed_user_keeps_the_files_of_all_servers(hub, cluster):
    async with hub() as hub:
        await run_once(hub)
        await run_once(hub, "a")
        status, _ = await hub.api("PATCH", "/users/ada", json={"name": "lovelace"})
        assert status == 200
        for name in ("", "a"):
            await hub.start_server("lovelace", name)
            await hub.wait_ready("lovelace", name)

        assert mounts(cluster) == {"": "claim-ada", "a": "claim-ada--a"}
        assert claim_names(cluster) == {"claim-ada", "claim-ada--a"}
