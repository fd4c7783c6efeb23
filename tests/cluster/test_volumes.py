"""Several servers and volumes of one user, judged by the real scheduler and the real admission."""

import logging
import re
import secrets
from pathlib import Path

import pytest
import yaml
from jupyterhub.utils import format_exception
from tornado.web import HTTPError

from devkit.realcluster.controlplane import RBAC
from devkit.testing.eventually import eventually
from k8s_hub.kube.pool import InformerPool

pytestmark = [pytest.mark.cluster, pytest.mark.hub]

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "extra-volumes.md"
SHARED = {"pvc_name_template": "claim-{username}"}
# Servers of this size are spread over the machines, if nothing keeps them together.
LARGE = {"cpu_guarantee": 8}


async def start(hub, name=""):
    await hub.start_server("ada", name)
    await hub.wait_ready("ada", name, seconds=90)


async def stop(hub, name=""):
    await hub.stop_server("ada", name)
    await hub.wait_stopped("ada", name, seconds=90)


def nodes_of(objects):
    return {pod["spec"]["nodeName"] for pod in objects("pods").values()}


async def told(spawner):
    return [event["message"] async for event in spawner.progress()]


# --- Several servers with one claim ---


async def test_the_servers_of_a_user_that_share_a_claim_run_on_one_node(hub, objects):
    async with hub(**SHARED, **LARGE) as hub:
        for name in ("", "two", "three"):
            await start(hub, name)

        assert len(nodes_of(objects)) == 1
        assert (
            "Your default server uses the same volume, so this server starts on the same machine."
            in await told(hub.spawner("ada", "two"))
        )


async def test_so_do_those_that_are_started_at_once(hub, objects):
    names = ("", "two", "three", "four")
    async with hub(**SHARED, **LARGE) as hub:
        for name in names:
            await hub.start_server("ada", name)
        for name in names:
            await hub.wait_ready("ada", name, seconds=90)

        assert len(nodes_of(objects)) == 1


async def test_without_that_they_would_not(hub, objects):
    async with hub(**SHARED, **LARGE, storage_same_node=False) as hub:
        for name in ("", "two", "three"):
            await start(hub, name)

        assert len(nodes_of(objects)) == 2


async def refusal_of_second(hub):
    """Start another server, which must fail; return the sentence its user reads."""
    await hub.start_server("ada", "two")
    with pytest.raises(HTTPError) as failed:
        await hub.wait_ready("ada", "two", seconds=90)
    return format_exception(failed.value)[0]


async def test_a_server_that_may_not_go_there_is_told_whose_machine_it_is(hub, objects):
    def elsewhere(spawner):
        if spawner.name:
            (node,) = nodes_of(objects)
            other = {"kwok-0": "kwok-1", "kwok-1": "kwok-0"}[node]
            spawner.node_selector = {"kubernetes.io/hostname": other}

    async with hub(**SHARED, start_timeout=12, pre_spawn_hook=elsewhere) as hub:
        await start(hub)

        assert await refusal_of_second(hub) == (
            "Your default server uses a volume of this server on a machine of another kind than this server needs. "
            "Stop that server first."
        )


async def test_a_server_without_room_there_is_told_whose_machine_it_is(hub, objects):
    def large(spawner):
        spawner.cpu_guarantee = 60

    async with hub(**SHARED, start_timeout=12, pre_spawn_hook=large) as hub:
        await start(hub)

        assert (await refusal_of_second(hub)).startswith(
            "The machine of your default server, which uses the same volume, had no room for this server within "
        )


async def test_a_claim_for_one_pod_is_refused(hub, objects):
    async with hub(**SHARED, storage_access_modes=["ReadWriteOncePod"]) as hub:
        await start(hub)

        assert "your default server uses it" in await refusal_of_second(hub)
        assert len(objects("pods")) == 1
        assert hub.failure_count == 0


async def test_an_extra_claim_is_accepted_and_bound(hub, objects):
    extra = {
        "capacity": "1Gi",
        "mount_path": "/scratch",
        "access_modes": ["ReadWriteMany"],
        "sub_path": "{username}",
        "read_only": True,
    }
    async with hub(extra_claims={"scratch": extra}) as hub:
        await start(hub)

        assert objects("persistentvolumeclaims")["scratch--ada"]["status"]["phase"] == "Bound"
        assert {volume["name"] for volume in objects("pods")["jupyter-ada"]["spec"]["volumes"]} >= {
            "extra-scratch"
        }


# --- Growth ---


@pytest.fixture
def growing_class(control_plane):
    """A storage class that allows expansion."""
    name = f"growing-{secrets.token_hex(4)}"
    path = "/apis/storage.k8s.io/v1/storageclasses"
    control_plane.admin.create(
        path,
        {
            "metadata": {"name": name},
            "provisioner": "kubernetes.io/host-path",
            "allowVolumeExpansion": True,
        },
    )
    yield name
    control_plane.admin.delete(f"{path}/{name}")


@pytest.fixture
def may_patch(control_plane, fresh_namespace):
    """A function that gives the hub what the page tells to give."""

    def grant():
        (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
        role, binding = yaml.safe_load_all(block.replace("namespace: jhub", f"namespace: {fresh_namespace}"))
        rbac = f"{RBAC}/namespaces/{fresh_namespace}"
        control_plane.admin.create(f"{rbac}/roles", role)
        control_plane.admin.create(f"{rbac}/rolebindings", binding)

    return grant


def growth_lines(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records if "grow" in record.message]


async def start_again(hub, objects, caplog, **options):
    """Start and stop once, change the options, start again; return the lines about growth."""
    await start(hub)
    await eventually(
        lambda: (
            {claim["status"]["phase"] for claim in objects("persistentvolumeclaims").values()} == {"Bound"}
        )
    )
    await stop(hub)
    caplog.set_level(logging.INFO)
    hub.config.KubeSpawner.update(options)
    await hub.kill()
    await InformerPool.for_current_loop().close()
    await hub.boot()
    await start(hub)
    return growth_lines(caplog)


def sizes(objects):
    claims = objects("persistentvolumeclaims")
    return {name: claim["spec"]["resources"]["requests"]["storage"] for name, claim in claims.items()}


GROWN = {
    "storage_capacity": "2Gi",
    "storage_grow": True,
    "extra_claims": {"scratch": {"capacity": "3Gi", "mount_path": "/scratch"}},
}


@pytest.fixture
def small(growing_class):
    extra = {"capacity": "1Gi", "mount_path": "/scratch", "storage_class": growing_class}
    return {"storage_class": growing_class, "extra_claims": {"scratch": extra}}


async def test_claims_grow_once_to_what_is_configured(hub, objects, caplog, small, may_patch):
    may_patch()
    async with hub(**small) as hub:
        lines = await start_again(hub, objects, caplog, **GROWN)
        assert sizes(objects) == {"claim-ada": "2Gi", "scratch--ada": "3Gi"}
        assert [(level, line.partition(": ")[2]) for level, line in lines] == [
            ("INFO", "the claim grows to 2Gi"),
            ("INFO", "the claim grows to 3Gi"),
        ]

        await stop(hub)
        await start(hub)
        assert growth_lines(caplog) == lines


async def test_without_the_right_to_patch_one_line_names_it_and_the_server_starts(
    hub, objects, caplog, small
):
    async with hub(**small) as hub:
        lines = await start_again(hub, objects, caplog, **GROWN)

        assert sizes(objects) == {"claim-ada": "1Gi", "scratch--ada": "1Gi"}
        assert [level for level, _ in lines] == ["WARNING", "WARNING"]
        assert all("needs the verb patch on persistentvolumeclaims" in line for _, line in lines)


async def test_a_class_that_does_not_allow_it_is_one_line_and_the_server_starts(
    hub, objects, caplog, may_patch
):
    may_patch()
    async with hub() as hub:
        lines = await start_again(hub, objects, caplog, storage_capacity="2Gi", storage_grow=True)

        assert sizes(objects) == {"claim-ada": "1Gi"}
        assert [level for level, _ in lines] == ["WARNING"]
        assert "must support resize" in lines[0][1]
        assert "verb patch" not in lines[0][1]


async def test_a_claim_never_shrinks(hub, objects, caplog, small, may_patch):
    may_patch()
    async with hub(**small) as hub:
        lines = await start_again(hub, objects, caplog, storage_capacity="512Mi", storage_grow=True)

        assert sizes(objects) == {"claim-ada": "1Gi", "scratch--ada": "1Gi"}
        assert lines == []


async def test_a_size_that_somebody_raised_a_moment_ago_is_not_taken_back(
    hub, objects, caplog, small, may_patch, control_plane, fresh_namespace
):
    """The hub's view may be older than the claim."""
    may_patch()
    async with hub(**small) as hub:
        await start(hub)
        await stop(hub)
        path = f"/api/v1/namespaces/{fresh_namespace}/persistentvolumeclaims/claim-ada"
        change = {"spec": {"resources": {"requests": {"storage": "5Gi"}}}}
        await eventually(lambda: objects("persistentvolumeclaims")["claim-ada"]["status"]["phase"] == "Bound")
        control_plane.admin.patch(path, change)
        spawner = hub.app.users["ada"].spawners[""]
        spawner.storage_capacity, spawner.storage_grow = "2Gi", True
        await start(hub)

        assert sizes(objects)["claim-ada"] == "5Gi"
