"""What controllers bring about by themselves."""

import asyncio

import pytest

from tests.devkit.minicluster.material import (
    CLAIMS,
    PODS,
    SECRETS,
    claim,
    is_in,
    pod,
    pod_with_claim,
    running_cluster,
    secret,
)

pytestmark = pytest.mark.looptime


def owned_by(owner, **changes):
    metadata = owner["metadata"]
    reference = {"apiVersion": "v1", "kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return {"metadata": {"name": "owned", "ownerReferences": [reference | changes]}}


async def test_a_claim_is_bound_to_a_directory_of_its_own(cluster, client):
    for name in ("home", "other"):
        await client.create(CLAIMS, claim(name))
    found = await client.eventually(f"{CLAIMS}/home", is_in("Bound"))
    assert found["status"]["capacity"] == {"storage": "1Gi"}
    assert found["spec"]["volumeName"] == f"pvc-{found['metadata']['uid']}"
    assert found["spec"]["storageClassName"] == "standard"
    assert cluster.claim_directory("default", "home").is_dir()
    assert cluster.claim_directory("default", "home") != cluster.claim_directory("default", "other")


async def test_a_claim_in_use_terminates_until_its_pod_is_gone(cluster, client):
    await client.create(CLAIMS, claim())
    await client.create(PODS, pod_with_claim())
    await client.eventually(f"{PODS}/a", is_in("Running"))
    await client.delete(f"{CLAIMS}/home")
    await asyncio.sleep(10)
    assert (await client.get(f"{CLAIMS}/home"))["metadata"]["deletionTimestamp"]
    await client.delete(f"{PODS}/a")
    await client.gone(f"{CLAIMS}/home")


async def test_the_next_claim_of_the_name_begins_empty_and_the_files_are_kept_aside(cluster, client):
    made = await client.create(CLAIMS, claim())
    await client.eventually(f"{CLAIMS}/home", is_in("Bound"))
    (cluster.claim_directory("default", "home") / "notes").write_text("old")
    await client.delete(f"{CLAIMS}/home")
    await client.gone(f"{CLAIMS}/home")
    await client.create(CLAIMS, claim())
    await client.eventually(f"{CLAIMS}/home", is_in("Bound"))
    assert list(cluster.claim_directory("default", "home").iterdir()) == []
    released = cluster.directory / "released" / f"home-{made['metadata']['uid']}"
    assert (released / "notes").read_text() == "old"


async def test_what_a_pod_owns_goes_with_it(cluster, client):
    owner = await client.create(PODS, pod())
    await client.create(SECRETS, owned_by(owner))
    await client.create(SECRETS, secret("free"))
    await client.delete(f"{PODS}/a")
    await client.gone(f"{SECRETS}/owned")
    assert (await client.get(f"{SECRETS}/free"))["metadata"]["name"] == "free"


async def test_what_is_owned_by_somebody_who_is_gone_goes_at_once(cluster, client):
    owner = await client.create(PODS, pod())
    await client.create(SECRETS, owned_by(owner, uid="of an older pod"))
    await client.gone(f"{SECRETS}/owned")


async def test_what_is_owned_is_known_after_a_restart(tmp_path):
    async with running_cluster(tmp_path) as (_, client):
        owner = await client.create(CLAIMS, claim())
        await client.create(CLAIMS, claim("owned") | owned_by(owner))
    async with running_cluster(tmp_path) as (_, client):
        await asyncio.sleep(10)
        await client.get(f"{CLAIMS}/owned")
        await client.delete(f"{CLAIMS}/home")
        await client.gone(f"{CLAIMS}/owned")


async def test_an_owner_of_a_kind_that_is_unknown_here_is_taken_to_be_there(cluster, client):
    owner = await client.create(PODS, pod())
    await client.create(SECRETS, owned_by(owner, kind="Deployment", uid="elsewhere"))
    await asyncio.sleep(10)
    await client.get(f"{SECRETS}/owned")


async def test_a_namespace_is_emptied_and_then_removed(cluster, client):
    await client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
    await client.create("/api/v1/namespaces/team/pods", pod())
    await client.create("/api/v1/namespaces/team/persistentvolumeclaims", claim())
    await client.create("/api/v1/namespaces/team/secrets", secret())
    await client.create(SECRETS, secret())
    dying = await client.delete("/api/v1/namespaces/team")
    assert dying["status"]["phase"] == "Terminating"
    await client.gone("/api/v1/namespaces/team")
    assert (await client.get("/api/v1/pods"))["items"] == []
    await client.get(f"{SECRETS}/a")


async def test_nothing_new_comes_into_a_namespace_that_is_ending(tmp_path):
    async with running_cluster(tmp_path, "none") as (cluster, client):
        await client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
        await client.create("/api/v1/namespaces/team/secrets", secret())
        cluster._controllers._controllers = ()  # so that the namespace stays in this state
        await client.delete("/api/v1/namespaces/team")
        answer = await client.call("POST", "/api/v1/namespaces/team/secrets", secret("b"))
        assert (answer.code, answer.body["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")


async def test_work_that_a_restart_interrupted_is_taken_up_again(tmp_path):
    async with running_cluster(tmp_path) as (cluster, client):
        cluster._controllers._controllers = ()
        await client.create(CLAIMS, claim("new"))
        await client.create(CLAIMS, claim("dying"))
        await client.delete(f"{CLAIMS}/dying")
    async with running_cluster(tmp_path) as (_, client):
        await client.eventually(f"{CLAIMS}/new", is_in("Bound"))
        await client.gone(f"{CLAIMS}/dying")
