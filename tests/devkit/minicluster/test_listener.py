"""Featherweight pods answer as ready servers do, and end as a test says."""

import aiohttp
import pytest

from devkit.minicluster.runtime import Exit
from tests.devkit.minicluster.material import PODS, is_in, main_state, pod

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(("path", "code"), [("/api", 200), ("/user/a/api", 200), ("/user/a/lab", 404)])
async def test_only_the_readiness_check_is_answered(cluster, client, path, code):
    await client.create(PODS, pod())
    found = await client.eventually(f"{PODS}/a", is_in("Running"))
    async with client.session.get(f"http://{found['status']['podIP']}:8888{path}") as response:
        assert response.status == code


async def test_a_test_can_end_it_like_a_process(cluster, client):
    await client.create(PODS, pod(restartPolicy="Never"))
    found = await client.eventually(f"{PODS}/a", is_in("Running"))
    await cluster.container("default", "a").end(Exit(code=137, reason="OOMKilled"))
    ended = await client.eventually(f"{PODS}/a", is_in("Failed"))
    assert main_state(ended)[1]["reason"] == "OOMKilled"
    assert cluster.container("default", "a") is None
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.session.get(f"http://{found['status']['podIP']}:8888/api")


async def test_a_deleted_one_does_not_answer_any_more(cluster, client):
    await client.create(PODS, pod())
    found = await client.eventually(f"{PODS}/a", is_in("Running"))
    url = f"http://{found['status']['podIP']}:8888/api"
    async with client.session.get(url) as response:
        assert response.status == 200
    await client.delete(f"{PODS}/a")
    await client.gone(f"{PODS}/a")
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.session.get(url)
