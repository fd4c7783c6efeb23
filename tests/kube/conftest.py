"""A mini cluster without a node, in the test's own loop, and the ways to it."""

import asyncio

import pytest

from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.connection import Connection
from k8s_hub.kube.informer import Informer
from k8s_hub.kube.resources import PODS
from k8s_hub.minicluster.cluster import ClusterOptions, MiniCluster
from k8s_hub.minicluster.faults import FaultRule
from tests.kube.samples import NAMESPACE, project


@pytest.fixture
async def cluster(tmp_path):
    """Pods stay as they are created; what happens to them is written to ``cluster.database``."""
    options = ClusterOptions(namespaces=(NAMESPACE, "other"))
    async with MiniCluster(directory=tmp_path / "cluster", runtime="none", options=options) as cluster:
        yield cluster


@pytest.fixture
def settings(cluster, tmp_path):
    path = tmp_path / "kubeconfig"
    cluster.write_kubeconfig(path)
    return ConnectionSettings(kubeconfig=str(path))


@pytest.fixture
async def connection(settings):
    connection = await Connection.open(settings)
    yield connection
    await connection.close()


@pytest.fixture
def api(connection):
    return KubeApi(connection)


@pytest.fixture
async def informer(api):
    """Not started, so that the task begins in the test's own (virtual) time."""
    informer = Informer(api, PODS, NAMESPACE, project=project, index=lambda kept: [kept["owner"]])
    yield informer
    await informer.close()


@pytest.fixture
def counted(cluster):
    """Count the calls that reach the server: ``counted("list")``; a rule that never strikes sees them all."""
    calls = []

    class Witness(FaultRule):
        def matches(self, call):
            calls.append(call)
            return False

    cluster.faults.add(Witness(effect=None))
    return lambda verb: sum(call.verb == verb for call in calls)


@pytest.fixture
def soon():
    """A deadline ten seconds from now."""
    return lambda seconds=10: asyncio.get_running_loop().time() + seconds
