"""The cells of docs/lifecycle.md that a healthy API server can show, on the real one, with the chart's rights."""

import asyncio

import pytest
from jupyterhub.utils import format_exception
from tornado.web import HTTPError

from devkit.realcluster.api import RefusedError
from devkit.testing.eventually import eventually
from k8s_hub.kube.pool import InformerPool

pytestmark = [pytest.mark.cluster, pytest.mark.hub]

POD = {"containers": [{"name": "notebook", "image": "example.test/notebook:1"}]}


@pytest.fixture
def place(control_plane, fresh_namespace):
    """A function that creates an object as somebody else than the hub."""

    def create(plural, name, spec, **metadata):
        body = {"metadata": {"name": name, **metadata}, "spec": spec}
        return control_plane.admin.create(f"/api/v1/namespaces/{fresh_namespace}/{plural}", body)

    return create


def older(**metadata):
    """The metadata of a pod of ada's that KubeSpawner left behind."""
    return {
        "annotations": {"hub.jupyter.org/username": "ada"},
        "labels": {"component": "singleuser-server"},
        **metadata,
    }


@pytest.fixture
def is_enforced(control_plane, fresh_namespace):
    """A function that is true once the API server refuses a plain pod: rules reach admission a moment later."""

    def refuses() -> bool:
        pod = {"metadata": {"name": "probe"}, "spec": POD}
        try:
            control_plane.admin.create(f"/api/v1/namespaces/{fresh_namespace}/pods?dryRun=All", pod)
        except RefusedError:
            return True
        return False

    return refuses


async def message_of_failed_start(hub, user):
    """Start a server that must fail; return the sentence its user reads."""
    await hub.start_server(user)
    with pytest.raises(HTTPError) as failed:
        await hub.wait_ready(user, seconds=90)
    return format_exception(failed.value)[0]


async def test_start_older_pod_is_replaced(hub, objects, place):
    left_behind = place("pods", "jupyter-ada", POD, **older())
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada", seconds=90)

        assert objects("pods")["jupyter-ada"]["metadata"]["uid"] != left_behind["metadata"]["uid"]


async def test_start_dying_pod_is_waited_for(hub, objects, place, control_plane, fresh_namespace):
    place("pods", "jupyter-ada", POD, **older(finalizers=["example.test/backup"]))
    path = f"/api/v1/namespaces/{fresh_namespace}/pods/jupyter-ada"
    control_plane.admin.delete(path, {"gracePeriodSeconds": 0})
    async with hub() as hub:
        await hub.start_server("ada")
        spawner = hub.spawner("ada")
        async with asyncio.timeout(60):
            async for event in spawner.progress():
                if "shutting down" in event["message"]:
                    break
        assert not spawner.ready

        control_plane.admin.patch(path, {"metadata": {"finalizers": None}})
        await hub.wait_ready("ada", seconds=90)
        assert "finalizers" not in objects("pods")["jupyter-ada"]["metadata"]


async def test_start_foreign_pod_fails_at_once_and_the_pod_stays(hub, objects, place):
    place("pods", "jupyter-ada", POD, annotations={"hub.jupyter.org/username": "mallory"})
    async with hub() as hub:
        message = await message_of_failed_start(hub, "ada")

        assert "jupyter-ada" in message
        assert "mallory" in message
        assert "jupyter-ada" in objects("pods")


async def test_start_with_a_pod_of_another_release_fails_and_the_pod_stays(hub, objects, place):
    labels = {"component": "singleuser-server", "release": "theirs"}
    place("pods", "jupyter-ada", POD, annotations={"hub.jupyter.org/username": "ada"}, labels=labels)
    async with hub(common_labels={"release": "ours"}) as hub:
        message = await message_of_failed_start(hub, "ada")

        assert "theirs" in message
        assert "jupyter-ada" in objects("pods")


async def test_start_over_quota_is_told_with_numbers_and_not_counted(hub, place, is_enforced):
    place("resourcequotas", "few", {"hard": {"pods": "0"}})
    await eventually(is_enforced)
    async with hub() as hub:
        message = await message_of_failed_start(hub, "ada")

        assert "quota" in message.lower()
        assert hub.failure_count == 0


async def test_start_against_the_pod_security_of_the_namespace_is_told(
    hub, control_plane, fresh_namespace, is_enforced
):
    control_plane.admin.patch(
        f"/api/v1/namespaces/{fresh_namespace}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
    )
    await eventually(is_enforced)
    async with hub() as hub:
        message = await message_of_failed_start(hub, "ada")

        assert "security" in message.lower()
        assert hub.failure_count == 0


async def test_start_a_claim_of_another_user_is_refused(hub, objects, place):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    place("persistentvolumeclaims", "claim-ada", spec, annotations={"hub.jupyter.org/username": "mallory"})
    async with hub() as hub:
        message = await message_of_failed_start(hub, "ada")

        assert "another user" in message
        assert objects("pods") == {}


async def test_start_unbound_claim_fails_before_the_hubs_deadline_with_the_reason(hub, objects):
    async with hub(storage_class="no-such-class", start_timeout=12) as hub:
        message = await message_of_failed_start(hub, "ada")

        assert "volume" in message.lower() or "storage" in message.lower()
        assert objects("pods") == {}
        assert "claim-ada" in objects("persistentvolumeclaims")


async def test_start_cancelled_leaves_the_claim_and_no_pod(hub, objects):
    async with hub(node_selector={"no": "such-machine"}) as hub:
        await hub.start_server("ada")
        await eventually(lambda: "jupyter-ada" in objects("pods"))
        await hub.stop_server("ada")
        await hub.wait_stopped("ada", seconds=90)

        assert objects("pods") == {}
        assert "claim-ada" in objects("persistentvolumeclaims")


async def test_stop_ours_returns_when_the_pod_is_gone(hub, objects):
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada", seconds=90)
        await hub.spawner("ada").stop()

        assert objects("pods") == {}


async def test_stop_nothing_there_returns_at_once(hub):
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada", seconds=90)
        spawner = hub.spawner("ada")
        await spawner.stop()
        async with asyncio.timeout(10):
            await spawner.stop()


async def test_poll_tells_alive_from_gone(hub, control_plane, fresh_namespace, caplog):
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada", seconds=90)
        spawner = hub.spawner("ada")
        assert await spawner.poll() is None

        path = f"/api/v1/namespaces/{fresh_namespace}/pods/jupyter-ada"
        control_plane.admin.delete(path, {"gracePeriodSeconds": 0})

        await hub.wait_stopped("ada")  # the view hears of it in a moment, and the hub from the view
        assert "User ada server stopped, with exit code: 1" in caplog.text


async def test_poll_of_an_ended_server_gives_its_exit_code_and_removes_the_pod(
    hub, objects, control_plane, fresh_namespace
):
    ended = {"name": "notebook", "ready": False, "restartCount": 0, "image": "x", "imageID": "x"}
    ended["state"] = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada", seconds=90)
        spawner = hub.spawner("ada")
        control_plane.admin.patch(
            f"/api/v1/namespaces/{fresh_namespace}/pods/jupyter-ada/status",
            {"status": {"phase": "Succeeded", "containerStatuses": [ended]}},
        )

        async def has_ended():
            return await spawner.poll() is not None

        await eventually(has_ended)
        await eventually(lambda: not objects("pods"))


async def test_hub_restart_finds_the_running_server_and_its_address(hub, control_plane):
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada", seconds=90)
        url = hub.spawner("ada").server.url
        await hub.kill()
        await InformerPool.for_current_loop().close()
        await hub.boot()
        await hub.wait_ready("ada", seconds=90)

        assert hub.spawner("ada").server.url == url
