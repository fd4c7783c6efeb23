"""A hub that is a pod itself, as the chart configures it: the files in helm-values/, its Role, its image's install script.

It finds cluster, namespace and rights in its service account.
"""

import json
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from devkit.chart import evaluation
from devkit.chart.values import FILES, extra_files, values_with
from devkit.demo.login import PASSWORD
from devkit.demo.plan import hub_command, make_plan
from devkit.demo.session import browser
from devkit.demo.settings import claimed
from devkit.demo.stack import Stack, parts_of
from devkit.realcluster.api import RefusedError
from devkit.testing.eventually import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.containers, pytest.mark.hub]

NAMES = ("code-from-image", "spawner", "culler", "restricted", "large-hub")
IDLE_SECONDS = 12  # a cell that has run was heard of by then

FOLDER = Path("/etc/jupyterhub")
CONFIG = """
import json, os, sys
from pathlib import Path

sys.path.insert(0, "/etc/jupyterhub")
from evaluation import Release, evaluate

values = json.loads(Path("/etc/jupyterhub/values.json").read_text())
c = get_config()
c.merge(evaluate(values, Release(namespace=os.environ["POD_NAMESPACE"])))
for service in c.JupyterHub.services:  # the pod shares its machine's ports, and has another than 8081
    service["command"] = [
        word.replace("http://localhost:8081", os.environ["HUB_URL"]) for word in service["command"]
    ]
"""


def chart_values(plan, hub_image):
    """What an admin of this cluster sets beside the files."""
    name, tag = plan.settings.image.split(":")
    hub_name, hub_tag = hub_image.split(":")
    own = {
        "hub": {
            "image": {"name": hub_name, "tag": hub_tag},
            "config": {
                "JupyterHub": {"hub_ip": plan.settings.hub_address},
                "DummyAuthenticator": {"password": plan.password},
                "Authenticator": {"allow_all": True},
            },
        },
        "singleuser": {"image": {"name": name, "tag": tag}, "memory": {"guarantee": "64M"}},
        "scheduling": {"userScheduler": {"enabled": False}},
        "cull": {"timeout": IDLE_SECONDS, "every": 2},
    }
    return values_with(*(FILES / f"{each}.yaml" for each in NAMES), own)


def config_map(values):
    """The chart's evaluation and the values, where the hub's pod finds them."""
    files = {
        "jupyterhub_config.py": CONFIG,
        "evaluation.py": Path(evaluation.__file__).read_text(),
        "values.json": json.dumps(values),
        **{Path(path).name: content for path, content in extra_files(values).items()},
    }
    assert all(Path(path).parent == FOLDER for path in extra_files(values))
    return {"metadata": {"name": "hub"}, "data": files}


def hub_pod(plan, plane, values):
    """The chart's hub, with what the demo gives a hub on the command line: addresses, database, proxy."""
    # Where the pod may write, and where its configuration is.
    inside = replace(
        plan,
        directory=Path("/tmp"),
        settings=replace(plan.settings, hub_config=FOLDER / "jupyterhub_config.py"),
    )
    _, *arguments = hub_command(inside).arguments
    from_chart = ("authenticator_class=", ".namespace=", ".image=")
    given = {
        "CONFIGPROXY_AUTH_TOKEN": plan.proxy_token,
        "POD_NAMESPACE": plan.settings.namespace,
        "HUB_URL": plan.hub_url,
        # Nobody routes this cluster's service addresses; a pod in the network of its machine reaches the API server.
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": plane.url.rpartition(":")[2],
    }
    image = values["hub"]["image"]
    return {
        "metadata": {"name": "hub", "labels": {"app": "jupyterhub", "component": "hub", "release": "jhub"}},
        "spec": {
            "serviceAccountName": "hub",
            "hostNetwork": True,
            "securityContext": {"runAsUser": 1000, "runAsGroup": 100},
            "containers": [
                {
                    "name": "hub",
                    "image": f"{image['name']}:{image['tag']}",
                    "command": [
                        "python",
                        *(one for one in arguments if not any(word in one for word in from_chart)),
                    ],
                    "env": [{"name": name, "value": value} for name, value in given.items()],
                    "volumeMounts": [
                        {"name": "config", "mountPath": str(FOLDER)},
                        {"name": "database", "mountPath": "/srv/jupyterhub"},
                    ],
                }
            ],
            "volumes": [
                {"name": "config", "configMap": {"name": "hub"}},
                {
                    "name": "database",
                    "emptyDir": {},
                },  # a claim in the chart, which the hub's user may write to as well
            ],
        },
    }


@asynccontextmanager
async def running(plan, plane, values):
    """The proxy on this machine, as a process, and the hub as a pod; its log is kept beside the proxy's."""
    namespace = f"/api/v1/namespaces/{plan.settings.namespace}"
    plane.admin.create(f"{namespace}/configmaps", config_map(values))
    proxy, hub = parts_of(plan)
    stack = Stack((proxy,), plan.marker)
    try:
        await stack.start()
        plane.admin.create(f"{namespace}/pods", hub_pod(plan, plane, values))
        try:
            await eventually(hub.is_ready, seconds=180)
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
    await eventually(lambda: not admin.get(f"{namespace}/pods")["items"], seconds=180)


async def test_a_user_logs_in_works_is_culled_and_finds_the_files_again(
    container_cluster, demo_settings, names_of, monkeypatch
):
    monkeypatch.delenv(PASSWORD, raising=False)
    image = container_cluster.load_hub_image(int(version("jupyterhub").partition(".")[0]))
    settings = replace(demo_settings(), activity_seconds=1)
    plan = make_plan(settings)
    values = chart_values(plan, image)
    with claimed(settings.directory):
        async with (
            running(plan, container_cluster.plane, values),
            browser(plan.url, "ada") as ada,
        ):
            await ada.log_in(plan.password)
            await ada.start_server()
            await ada.follow_progress()
            server = await ada.open_server()
            await server.write("notes.txt", "kept")
            async with server.kernel() as kernel:
                assert await kernel.run("print(6 * 7)") == "42\n"
            pod = container_cluster.plane.admin.get(
                f"/api/v1/namespaces/{settings.namespace}/pods/jupyter-ada"
            )
            assert pod["metadata"]["labels"]["hub.jupyter.org/network-access-hub"] == "true"
            assert pod["metadata"]["labels"]["helm.sh/chart"] == "jupyterhub-4.4.0"
            assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
            await eventually(lambda: names_of(settings.namespace, "pods") == {"hub"}, seconds=180)
            await ada.start_server()
            await ada.follow_progress()
            assert await (await ada.open_server()).read("notes.txt") == "kept"
    assert names_of(settings.namespace, "persistentvolumeclaims") == {"claim-ada"}
