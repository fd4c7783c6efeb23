"""Namespaces: made, listed, and deleted with all that is in them."""

from tests.conformance.server import claim, names, pod, secret

NAMESPACES = "/api/v1/namespaces"


async def test_a_namespace_is_active_and_labelled_with_its_name(server):
    found = await server.client.get(server.core)
    assert found["kind"] == "Namespace"
    assert found["status"]["phase"] == "Active"
    assert found["metadata"]["labels"]["kubernetes.io/metadata.name"] == server.namespace


async def test_namespaces_are_listed_and_selected(server):
    assert server.namespace in names(await server.client.get(NAMESPACES))
    found = await server.client.get(NAMESPACES, fieldSelector=f"metadata.name={server.namespace}")
    assert names(found) == [server.namespace]


async def test_a_taken_namespace_is_409(server):
    answer = await server.client.call("POST", NAMESPACES, {"metadata": {"name": server.namespace}})
    assert (answer.code, answer.body["reason"]) == (409, "AlreadyExists")


async def test_deleting_a_namespace_deletes_what_is_in_it(server):
    await server.running_pod("p")
    await server.create("secrets", secret("a"))
    await server.create("persistentvolumeclaims", claim("home"))
    await server.client.delete(server.core)
    await server.client.gone(server.core)
    for plural in ("pods", "secrets", "persistentvolumeclaims"):
        assert names(await server.list(plural)) == []


async def test_one_name_may_be_used_in_two_namespaces(server):
    other = f"{server.namespace}-b"
    await server.client.create(NAMESPACES, {"metadata": {"name": other}})
    here = await server.create("secrets", secret("a"))
    there = await server.client.create(f"{NAMESPACES}/{other}/secrets", secret("a"))
    assert here["metadata"]["uid"] != there["metadata"]["uid"]
    await server.client.delete(server.path("secrets", "a"))
    assert names(await server.client.get(f"{NAMESPACES}/{other}/secrets")) == ["a"]


async def test_the_default_namespace_is_there(server):
    assert (await server.client.get(f"{NAMESPACES}/default"))["status"]["phase"] == "Active"


async def test_pods_of_two_namespaces_are_listed_together_and_apart(server):
    await server.create("pods", pod("p"))
    everywhere = await server.client.get("/api/v1/pods", fieldSelector="metadata.name=p")
    assert server.namespace in {item["metadata"]["namespace"] for item in everywhere["items"]}
    assert names(await server.list("pods")) == ["p"]
