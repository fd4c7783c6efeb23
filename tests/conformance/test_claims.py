"""Claims: bound to a volume, protected while a pod uses them, and gone for good when deleted."""

from tests.conformance.server import Server, claim, pod, using, version_of


def is_bound(found) -> bool:
    return found["status"].get("phase") == "Bound"


async def bound_claim(server: Server, name: str):
    await server.create("persistentvolumeclaims", claim(name))
    return await server.client.eventually(server.path("persistentvolumeclaims", name), is_bound)


async def test_a_new_claim_is_pending_and_then_bound(server):
    version = await server.version("persistentvolumeclaims")
    path = server.path("persistentvolumeclaims")
    async with server.client.watch(path, resourceVersion=version) as watch:
        made = await server.create("persistentvolumeclaims", claim("home"))
        seen = await watch.until(lambda event: is_bound(event["object"]))
    assert made["status"]["phase"] == "Pending"
    assert [event["type"] for event in seen] == ["ADDED"] + ["MODIFIED"] * (len(seen) - 1)
    found = seen[-1]["object"]
    assert found["spec"]["volumeName"]
    assert found["status"]["capacity"] == {"storage": "1Gi"}
    assert found["status"]["accessModes"] == ["ReadWriteOnce"]


async def test_a_claim_without_a_class_gets_the_default_one(server):
    found = await bound_claim(server, "home")
    assert found["spec"]["storageClassName"] == "standard"
    assert found["spec"]["volumeMode"] == "Filesystem"


async def test_a_claim_of_an_unknown_class_stays_pending_and_so_does_its_pod(server):
    body = claim("home")
    body["spec"]["storageClassName"] = "fast"
    await server.create("persistentvolumeclaims", body)
    await server.create("pods", pod("p", **using("home")))

    def says_why(found) -> bool:
        messages = [condition.get("message", "") for condition in found["status"].get("conditions", ())]
        return any("unbound immediate PersistentVolumeClaims" in message for message in messages)

    await server.client.eventually(server.path("pods", "p"), says_why)
    found = await server.client.get(server.path("persistentvolumeclaims", "home"))
    assert found["status"]["phase"] == "Pending"


async def test_a_claim_stays_when_its_pod_goes(server):
    made = await bound_claim(server, "home")
    await server.running_pod("p", **using("home"))
    await server.client.delete(server.path("pods", "p"), gracePeriodSeconds=0)
    found = await server.client.get(server.path("persistentvolumeclaims", "home"))
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert is_bound(found)


async def test_two_pods_may_use_one_claim(server):
    await bound_claim(server, "home")
    await server.running_pod("one", **using("home"))
    await server.running_pod("two", **using("home"))


async def test_a_deleted_claim_goes(server):
    await bound_claim(server, "home")
    version = await server.version("persistentvolumeclaims")
    path = server.path("persistentvolumeclaims")
    async with server.client.watch(path, resourceVersion=version) as watch:
        answer = await server.client.delete(server.path("persistentvolumeclaims", "home"))
        seen = await watch.until(lambda event: event["type"] == "DELETED")
    assert answer["kind"] == "PersistentVolumeClaim"
    versions = [version_of(event["object"]) for event in seen]
    assert versions == sorted(set(versions))


async def test_a_claim_in_use_is_terminating_until_its_pod_is_gone(server):
    await bound_claim(server, "home")
    await server.running_pod("p", **using("home"))
    answer = await server.client.delete(server.path("persistentvolumeclaims", "home"))
    assert "deletionTimestamp" in answer["metadata"]
    found = await server.client.get(server.path("persistentvolumeclaims", "home"))
    assert "deletionTimestamp" in found["metadata"]
    assert found["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert is_bound(found)
    await server.client.delete(server.path("pods", "p"), gracePeriodSeconds=0)
    await server.client.gone(server.path("persistentvolumeclaims", "home"))


async def test_a_new_pod_cannot_use_a_claim_that_is_terminating(server):
    await bound_claim(server, "home")
    await server.running_pod("old", **using("home"))
    await server.client.delete(server.path("persistentvolumeclaims", "home"))

    def says_why(found) -> bool:
        messages = [condition.get("message", "") for condition in found["status"].get("conditions", ())]
        return any('persistentvolumeclaim "home" is being deleted' in message for message in messages)

    # A scheduler that has not heard of the deletion yet gives the pod to a node: then the next pod shows it.
    for name in ("new", "newer", "newest"):
        await server.create("pods", pod(name, **using("home")))
        found = await server.client.eventually(
            server.path("pods", name), lambda found: says_why(found) or "nodeName" in found["spec"]
        )
        if says_why(found):
            break
    assert says_why(found)


async def test_the_name_of_a_terminating_claim_is_taken(server):
    await bound_claim(server, "home")
    await server.running_pod("p", **using("home"))
    await server.client.delete(server.path("persistentvolumeclaims", "home"))
    answer = await server.client.call("POST", server.path("persistentvolumeclaims"), claim("home"))
    assert (answer.code, answer.body["reason"]) == (409, "AlreadyExists")
    assert answer.body["message"].startswith(
        'object is being deleted: persistentvolumeclaims "home" already exists'
    )


async def test_a_recreated_claim_is_another_one(server):
    first = await bound_claim(server, "home")
    await server.client.delete(server.path("persistentvolumeclaims", "home"))
    await server.client.gone(server.path("persistentvolumeclaims", "home"))
    second = await bound_claim(server, "home")
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    assert first["spec"]["volumeName"] != second["spec"]["volumeName"]
