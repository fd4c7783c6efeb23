"""A hub that is a pod itself: it finds cluster, namespace and rights in its service account."""

from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from k8s_hub.demo.plan import hub_command, make_plan
from k8s_hub.demo.session import browser
from k8s_hub.demo.settings import claimed
from k8s_hub.demo.stack import Stack, parts_of
from tests.box.api import RefusedError
from tests.eventually import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.containers, pytest.mark.hub]

CONFIG = Path("/etc/jupyterhub/jupyterhub_config.py")
HANDED_ON = ("K8S_HUB_", "CONFIGPROXY_")  # of the environment that the demo gives to a hub


def hub_pod(plan, plane):
    """The demo's hub as a pod: the same command, in the image, with a config map instead of a checkout."""
    # Where the pod may write, and where its configuration is.
    inside = replace(plan, directory=Path("/tmp"), settings=replace(plan.settings, hub_config=CONFIG))
    command = hub_command(inside)
    _, *arguments = command.arguments
    given = {name: value for name, value in command.environment.items() if name.startswith(HANDED_ON)}
    # Nobody routes this cluster's service addresses; a pod in the network of its machine reaches the API server.
    given |= {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": plane.url.rpartition(":")[2]}
    return {
        "metadata": {"name": "hub"},
        "spec": {
            "serviceAccountName": "hub",
            "hostNetwork": True,
            "securityContext": {"runAsUser": 1000, "runAsGroup": 100},
            "containers": [
                {
                    "name": "hub",
                    "image": plan.settings.image,
                    "command": ["python", *(one for one in arguments if ".namespace=" not in one)],
                    "env": [{"name": name, "value": value} for name, value in given.items()],
                    "volumeMounts": [{"name": "config", "mountPath": str(CONFIG.parent)}],
                }
            ],
            "volumes": [{"name": "config", "configMap": {"name": "hub"}}],
        },
    }


@asynccontextmanager
async def running(plan, plane):
    """The proxy on this machine, as a process, and the hub as a pod; its log is kept beside the proxy's."""
    namespace = f"/api/v1/namespaces/{plan.settings.namespace}"
    config = {"metadata": {"name": "hub"}, "data": {CONFIG.name: plan.settings.hub_config.read_text()}}
    plane.admin.create(f"{namespace}/configmaps", config)
    proxy, hub = parts_of(plan)
    stack = Stack((proxy,), plan.mark)
    try:
        await stack.start()
        plane.admin.create(f"{namespace}/pods", hub_pod(plan, plane))
        try:
            await eventually(hub.is_ready, seconds=60)
            yield
        finally:
            await end_hub(plan, plane.admin, namespace)
    finally:
        await stack.stop()


async def end_hub(plan, admin, namespace):
    """Ask the hub to end; it removes its users' servers first, as a demo's hub does."""
    with suppress(RefusedError):  # it never ran
        log = admin._send("GET", f"{namespace}/pods/hub/log", None, "application/json")
        (plan.directory / "hub-pod.log").write_bytes(log)
    admin.delete(f"{namespace}/pods/hub")
    await eventually(lambda: not admin.get(f"{namespace}/pods")["items"], seconds=60)


async def test_a_hub_in_a_pod_spawns_with_its_service_account(container_cluster, demo_settings, names_of):
    settings = demo_settings()
    plan = make_plan(settings)
    with claimed(settings.directory):
        async with running(plan, container_cluster.plane), browser(plan.url, "ada") as ada:
            await ada.log_in(plan.password)
            await ada.start_server()
            await ada.follow_progress()
            server = await ada.open_server()
            async with server.kernel() as kernel:
                assert await kernel.run("print(6 * 7)") == "42\n"
            assert names_of(settings.namespace, "pods") == {"hub", "jupyter-ada"}
    assert names_of(settings.namespace, "persistentvolumeclaims") == {"claim-ada"}
