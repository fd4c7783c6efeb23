"""The files in helm-values/ on the real API server, with the chart's Role, on both versions of the hub."""

import os
import sys
from pathlib import Path

import pytest
from jupyterhub import __version__ as here

from devkit.chart.hubs import chart_hub, claims_of, tell_story

pytestmark = [pytest.mark.cluster, pytest.mark.hub]

ROOT = Path(__file__).parents[2]
OF_HUB_5 = ROOT / ".venv-hub5/bin/python"
SETS = [
    ("culler",),
    ("spawner", "culler"),
    ("spawner", "culler", "culler-page"),
    ("spawner", "culler", "restricted"),
    ("spawner", "culler", "large-hub"),
    ("spawner", "culler", "culler-page", "restricted", "large-hub"),
]


@pytest.fixture(params=[6, 5], ids=["hub 6.1", "hub 5.5"])
def python(request):
    """The interpreter of an environment with this version of JupyterHub."""
    if here.startswith(f"{request.param}."):
        return sys.executable
    if request.param == 5 and OF_HUB_5.exists():
        return str(OF_HUB_5)
    if os.environ.get("CI"):
        pytest.fail(f"There is no environment with JupyterHub {request.param}")
    pytest.skip("make HUB=5 .venv-hub5/.ready makes this environment")


@pytest.fixture
def open_hub(control_plane, fresh_namespace, servers, tmp_path, python):
    """A function that opens the hub of a release with these files, in a namespace of its own."""
    token = control_plane.make_hub_account(fresh_namespace)
    kubeconfig = control_plane.write_kubeconfig(
        tmp_path / "kubeconfig", token=token, namespace=fresh_namespace
    )
    more = {"hub": {"config": {"KubeSpawner": {"port": servers}}}}  # one listener plays all servers

    def opened(*names, **values):
        return chart_hub(
            tmp_path / "hub",
            *names,
            kubeconfig=kubeconfig,
            namespace=fresh_namespace,
            more={**more, **values},
            python=python,
        )

    return opened


@pytest.fixture
def objects_of(objects):
    async def by_name(plural):
        return objects(plural)

    return by_name


@pytest.mark.parametrize("names", SETS, ids="+".join)
async def test_a_server_is_started_culled_and_started_again(
    names, open_hub, objects_of, control_plane, fresh_namespace
):
    if "restricted" in names:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        control_plane.admin.patch(f"/api/v1/namespaces/{fresh_namespace}", {"metadata": {"labels": labels}})
    async with open_hub(*names) as hub:
        pod = await tell_story(hub, objects_of)
        if "culler-page" in names:
            status, location = await hub.page()
            assert (status, "/hub/api/oauth2/authorize" in location) == (302, True)
    assert pod["metadata"]["labels"]["hub.jupyter.org/network-access-hub"] == "true"
    assert pod["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kubespawner"
    (port,) = pod["spec"]["containers"][0]["ports"]
    assert port["name"] == "notebook-port"


async def test_the_spawner_alone(open_hub, objects_of):
    async with open_hub("spawner", cull={"enabled": False}) as hub:
        await hub.start("ada")
        (pod,) = (await objects_of("pods")).values()
    assert claims_of(pod) == ["claim-ada"]
