"""A hub with KubeSpawner on the real API server, with the chart's rights; kwok plays the machines.

Every pod "runs" at a loopback address, and one listener on all of them plays every user's server.
"""

import asyncio
from contextlib import asynccontextmanager

import pytest

from devkit.testing.realhub import Answer, RealHub
from devkit.testing.runs import HOME
from k8s_hub import KubeSpawner
from k8s_hub.kube.pool import InformerPool


@pytest.fixture
async def servers():
    """The port of the listener that plays every user's server."""
    listener = await asyncio.get_running_loop().create_server(Answer, "0.0.0.0", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


@pytest.fixture
async def hub(control_plane, fresh_namespace, servers, tmp_path, monkeypatch):
    """A function that opens a hub with these options of KubeSpawner, in a namespace of its own."""
    token = control_plane.make_hub_account(fresh_namespace)
    control_plane.write_kubeconfig(tmp_path / "kubeconfig", token=token, namespace=fresh_namespace)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))

    @asynccontextmanager
    async def open_hub(*, users=("ada", "bob"), hub=None, **options):
        config = {
            "KubeSpawner": {"namespace": fresh_namespace, "port": servers, **HOME, **options},
            "JupyterHub": {"tornado_settings": {"slow_spawn_timeout": 0}, **(hub or {})},
        }
        async with RealHub(spawner_class=KubeSpawner, config=config, users=users) as opened:
            yield opened

    yield open_hub
    await InformerPool.for_current_loop().close()


@pytest.fixture
def objects(control_plane, fresh_namespace):
    """A function that returns the objects of one kind in the test's namespace, by name."""

    def by_name(plural):
        found = control_plane.admin.get(f"/api/v1/namespaces/{fresh_namespace}/{plural}")["items"]
        return {obj["metadata"]["name"]: obj for obj in found}

    return by_name
