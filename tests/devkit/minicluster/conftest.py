"""A running mini cluster and a client of it."""

import aiohttp
import pytest

from devkit.minicluster.cluster import MiniCluster
from tests.conformance.client import Client


@pytest.fixture
async def cluster(tmp_path):
    async with MiniCluster(directory=tmp_path / "cluster", runtime="listener") as running:
        yield running


@pytest.fixture
async def client(cluster):
    async with aiohttp.ClientSession() as session:
        yield Client(session=session, url=cluster.url, token=cluster.token)
