"""A hub with KubeSpawner on a mini cluster, and the sources that the command reads."""

from contextlib import asynccontextmanager

import pytest

from devkit.minicluster.resources import CLAIMS
from devkit.testing.fixtures import cluster, hub, wall_clock, witness
from devkit.testing.runs import NAMESPACE
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import ConnectionSettings as KubeSettings
from k8s_hub.kube.connection import Connection
from k8s_hub.objects.keys import Key, key_of
from k8s_hub.volumes.inventory import SCOPES, Sources
from tests.volumes.objects import claim

__all__ = ["NAMESPACE", "cluster", "hub", "wall_clock", "witness"]


@pytest.fixture
def sources(cluster, tmp_path):
    """A function that opens the sources of a hub, with a token of these scopes."""

    @asynccontextmanager
    async def open_sources(hub, scopes=SCOPES):
        token = hub.token(scopes=list(scopes))
        kube = await Connection.open(KubeSettings(kubeconfig=str(tmp_path / "kubeconfig")))
        try:
            async with HubConnection(HubConnectionSettings(url=hub.api_url, token=token)) as to_hub:
                yield Sources(kube=KubeApi(kube), hub=HubApi(to_hub), namespaces=[NAMESPACE])
        finally:
            await kube.close()

    return open_sources


@pytest.fixture
def plant(cluster):
    """A function that creates the claim of somebody whom the hub does not know."""

    def create(name, user, server="", **more):
        body = claim(name, user, server, namespace=NAMESPACE, release=None, uid=None, created=None, **more)
        return cluster.database.create(CLAIMS, {"apiVersion": "v1", **body}).obj

    return create


@pytest.fixture
def names(cluster):
    """A function that returns the names of the claims that exist and are not dying."""

    def read():
        return {
            key_of(found).name
            for found in cluster.database.all(CLAIMS, NAMESPACE)
            if "deletionTimestamp" not in found["metadata"]
        }

    return read


def key(name):
    return Key(NAMESPACE, name)


async def run_once(hub, user, name=""):
    """Start a server and stop it, so that it has a home and a state."""
    await hub.start_server(user, name)
    await hub.wait_ready(user, name)
    await hub.stop_server(user, name)
    await hub.wait_stopped(user, name)
