"""A hub with KubeSpawner on a mini cluster, all in the test's own loop and time."""

from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from k8s_hub import KubeSpawner
from k8s_hub.kube.pool import InformerPool
from k8s_hub.minicluster.cluster import ClusterOptions, MiniCluster
from tests.realhub import RealHub

NAMESPACE = "default"

HOME = {
    "storage_pvc_ensure": True,
    "storage_capacity": "1Gi",
    "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}],
    "volume_mounts": [{"name": "home", "mountPath": "/home/jovyan"}],
}


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A mini cluster whose pods are listeners; the kubeconfig of the environment leads to it."""
    async with MiniCluster(directory=tmp_path / "cluster", runtime="listener") as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield cluster
        await InformerPool.for_current_loop().close()


@pytest.fixture
def hub(cluster):
    """A function that opens a hub with these options of KubeSpawner."""

    @asynccontextmanager
    async def open_hub(*, spawner_class=KubeSpawner, users=("ada", "bob"), hub=None, **options):
        config = {"KubeSpawner": {"namespace": NAMESPACE, **HOME, **options}, "JupyterHub": hub or {}}
        async with RealHub(spawner_class=spawner_class, config=config, users=users) as opened:
            yield opened

    return open_hub
