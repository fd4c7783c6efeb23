"""What survives a cluster, what does not, and how its start can fail."""

import asyncio
import json
import stat
from datetime import UTC, datetime

import aiohttp
import pytest

from devkit.minicluster.cluster import ClusterOptions, MiniCluster
from devkit.minicluster.errors import ClusterError, DirectoryError, PortTakenError
from devkit.minicluster.resources import KINDS
from tests.devkit.minicluster.material import (
    CLAIMS,
    PODS,
    SECRETS,
    claim,
    is_in,
    pod,
    running_cluster,
    secret,
)

pytestmark = pytest.mark.looptime


async def test_claims_and_namespaces_survive_and_pods_do_not(tmp_path):
    async with running_cluster(tmp_path) as (cluster, client):
        await client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
        await client.create(CLAIMS, claim())
        before = await client.eventually(f"{CLAIMS}/home", is_in("Bound"))
        (cluster.claim_directory("default", "home") / "notes").write_text("kept")
        await client.create(PODS, pod())
        await client.create(SECRETS, secret())
    async with running_cluster(tmp_path) as (cluster, client):
        assert await client.get(f"{CLAIMS}/home") == before
        assert (cluster.claim_directory("default", "home") / "notes").read_text() == "kept"
        assert (await client.get("/api/v1/namespaces/team"))["status"]["phase"] == "Active"
        assert (await client.get("/api/v1/pods"))["items"] == []
        assert (await client.get("/api/v1/secrets"))["items"] == []


async def test_versions_never_go_back_even_if_the_clock_does(tmp_path):
    async with running_cluster(tmp_path) as (_, client):
        newest = int((await client.create(CLAIMS, claim()))["metadata"]["resourceVersion"])
    async with running_cluster(tmp_path, now=lambda: datetime(2001, 1, 1, tzinfo=UTC)) as (_, client):
        assert int((await client.create(SECRETS, secret()))["metadata"]["resourceVersion"]) > newest


@pytest.mark.parametrize("offset", [-1, 10**9], ids=["old", "future"])
async def test_a_watch_from_another_life_of_the_cluster_is_410(cluster, client, offset):
    version = int((await client.get(PODS))["metadata"]["resourceVersion"]) + offset
    cluster.compact()
    async with client.watch(PODS, resourceVersion=str(version)) as watch:
        gone = await watch.next()
        assert (gone["type"], gone["object"]["code"]) == ("ERROR", 410)


async def test_the_kubeconfig_is_for_its_owner_alone(cluster, tmp_path):
    path = tmp_path / "kubeconfig"
    cluster.write_kubeconfig(path)
    content = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert content["clusters"][0]["cluster"]["server"] == cluster.url
    assert content["users"][0]["user"]["token"] == cluster.token
    assert cluster.url.startswith("http://127.0.0.1:")


async def test_a_wrong_token_is_401(cluster, client):
    async with client.session.get(cluster.url + PODS, headers={"Authorization": "Bearer x"}) as response:
        assert (response.status, (await response.json())["reason"]) == (401, "Unauthorized")
    async with client.session.get(cluster.url + PODS) as response:
        assert response.status == 401


async def test_health_needs_no_token(cluster, client):
    async with client.session.get(cluster.url + "/readyz") as response:
        assert (response.status, await response.text()) == (200, "ok")


async def test_two_clusters_on_one_directory_are_one_too_many(cluster):
    with pytest.raises(
        DirectoryError, match=r"Another cluster \(process \d+\) already runs on the directory /"
    ):
        async with MiniCluster(directory=cluster.directory):
            pass


async def test_a_port_that_is_taken_is_named_and_nothing_is_left_behind(cluster, tmp_path):
    port = int(cluster.url.rsplit(":", 1)[1])
    other = tmp_path / "other"
    with pytest.raises(PortTakenError, match=rf"listen on 127.0.0.1:{port}: Address already in use\."):
        async with MiniCluster(directory=other, options=ClusterOptions(port=port)):
            pass
    async with MiniCluster(directory=other):
        pass


@pytest.mark.parametrize("name", ["file", "file/below"])
async def test_a_directory_that_is_none_is_named(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryError, match=rf"The directory {tmp_path}/{name} cannot be used: "):
        async with MiniCluster(directory=tmp_path / name):
            pass


async def test_a_saved_object_that_is_broken_is_named(tmp_path):
    broken = tmp_path / "objects" / "persistentvolumeclaims" / "default" / "home.json"
    broken.parent.mkdir(parents=True)
    broken.write_text('{"kind": "Pers')
    with pytest.raises(ClusterError, match=f"saved object {broken} cannot be read"):
        async with MiniCluster(directory=tmp_path):
            pass


async def test_an_unknown_runtime_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no runtime 'docker'"):
        async with MiniCluster(directory=tmp_path, runtime="docker"):
            pass


async def test_a_cluster_ends_while_clients_watch_and_pods_run(tmp_path):
    async with aiohttp.ClientSession() as session:
        async with MiniCluster(directory=tmp_path) as cluster:
            headers = {"Authorization": f"Bearer {cluster.token}"}
            async with session.post(cluster.url + PODS, json=pod(), headers=headers) as response:
                assert response.status == 201
            watch = await session.get(f"{cluster.url}{PODS}?watch=1", headers=headers)
            await watch.content.readline()
        with pytest.raises(aiohttp.ClientError):
            await watch.content.read()
        watch.close()


@pytest.mark.parametrize(
    ("method", "path", "code", "said"),
    [
        ("PATCH", f"{PODS}/a", 405, "does not support PATCH on /api/v1/namespaces/default/pods/a"),
        ("PUT", f"{PODS}/a", 405, "does not support PUT"),
        ("DELETE", PODS, 405, "does not support DELETE on /api/v1/namespaces/default/pods;"),
        ("POST", f"{PODS}/a", 405, "does not support POST"),
        ("POST", "/api/v1/pods", 405, "POST without a namespace"),
        ("GET", "/apis/apps/v1/deployments", 404, "does not serve /apis/apps/v1/deployments"),
        ("GET", "/api/v1/namespaces/default/configmaps", 404, "does not serve"),
        ("GET", "/api/v1/configmaps?watch=1", 404, "does not serve"),
        ("GET", f"{PODS}/a/log", 404, "no subresource 'log' of pods"),
        ("GET", f"{PODS}?watch=maybe", 400, "watch is not a boolean: 'maybe'"),
        ("GET", f"{PODS}?limit=many", 400, "limit is not a whole number: 'many'"),
        ("GET", f"{PODS}?continue=nonsense", 400, "continue key is not valid"),
        ("GET", f"{PODS}?watch=1&sendInitialEvents=true", 400, "does not support sendInitialEvents"),
        ("POST", f"{PODS}?dryRun=All", 400, "does not support dryRun"),
        ("DELETE", f"{PODS}/a?propagationPolicy=Orphan", 400, "propagationPolicy 'Orphan'"),
        ("DELETE", f"{PODS}/a?gracePeriodSeconds=soon", 400, "gracePeriodSeconds is not a number: 'soon'"),
    ],
)
async def test_what_is_not_supported_is_named(cluster, client, method, path, code, said):
    await client.create(PODS, pod())
    body = pod("b") if method == "POST" else None
    path, _, query = path.partition("?")
    parameters = dict(part.split("=") for part in query.split("&") if part)
    answer = await client.call(method, path, body, **parameters)
    assert (answer.code, answer.body["kind"]) == (code, "Status")
    assert said in answer.body["message"]


async def test_two_thousand_changes_reach_ten_watches_in_order(cluster, client):
    """Every change is encoded once; the watches share its bytes."""
    version = (await client.get(SECRETS))["metadata"]["resourceVersion"]

    async def watched():
        async with client.watch(SECRETS, labelSelector="app=mine", resourceVersion=version) as watch:
            return [(await watch.next())["object"]["metadata"]["name"] for _ in range(2000)]

    watching = asyncio.gather(*(watched() for _ in range(10)))
    names = [f"s-{number}" for number in range(2000)]
    for name in names:
        metadata = {"name": name, "namespace": "default", "labels": {"app": "mine"}}
        cluster.database.create(
            KINDS["secrets"], {"kind": "Secret", "apiVersion": "v1", "metadata": metadata}
        )
        if name.endswith("50"):
            await asyncio.sleep(0)
    assert await watching == [names] * 10
