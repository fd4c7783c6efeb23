"""Each test of the suite runs twice: on the mini cluster, and (marked cluster) on the real server."""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest

from devkit.minicluster.cluster import MiniCluster
from devkit.realcluster.controlplane import ControlPlane
from tests.conformance.client import Client
from tests.conformance.server import Server


@pytest.fixture(
    params=[pytest.param("mini", marks=pytest.mark.looptime), pytest.param("real", marks=pytest.mark.cluster)]
)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """A server, with a fresh namespace."""
    if request.param == "real":
        plane: ControlPlane = request.getfixturevalue("control_plane")
        async with aiohttp.ClientSession() as session:
            yield await real_server(plane, session)
    else:
        async with (
            MiniCluster(directory=request.getfixturevalue("tmp_path"), runtime="listener") as cluster,
            aiohttp.ClientSession() as session,
        ):
            yield await mini_server(cluster, session)


async def real_server(plane: ControlPlane, session: aiohttp.ClientSession) -> Server:
    async def forget_history() -> None:
        await asyncio.to_thread(plane.forget_history)

    tls = ssl.create_default_context(cafile=plane.ca_certificate)
    return Server(
        client=Client(session=session, url=plane.url, token=plane.admin_token, tls=tls),
        namespace=await asyncio.to_thread(plane.make_namespace),
        forget_history=forget_history,
    )


async def mini_server(cluster: MiniCluster, session: aiohttp.ClientSession) -> Server:
    client = Client(session=session, url=cluster.url, token=cluster.token)
    namespace = f"test-{secrets.token_hex(4)}"
    await client.create("/api/v1/namespaces", {"metadata": {"name": namespace}})

    async def forget_history() -> None:
        cluster.compact()

    return Server(client=client, namespace=namespace, forget_history=forget_history)
