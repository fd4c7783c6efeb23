"""Events: what the cluster says about a pod, found by the object they are about."""

from tests.conformance.client import Raw
from tests.conformance.server import Server, claim, names, shown


def event_about(obj: Raw, name: str, reason: str) -> dict:
    about = {key: obj["metadata"][key] for key in ("name", "namespace", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name},
        "involvedObject": {"apiVersion": "v1", "kind": obj["kind"], **about},
        "reason": reason,
        "message": "Said by a test",
        "type": "Normal",
    }


def reasons(listing: Raw) -> set[str]:
    return {item["reason"] for item in listing["items"]}


async def about(server: Server, obj: Raw, reason: str) -> Raw:
    """The first event with a reason about an object, once it is there."""
    selector = f"involvedObject.uid={obj['metadata']['uid']}"
    found = await server.client.eventually(
        server.path("events"), lambda listing: reason in reasons(listing), fieldSelector=selector
    )
    return next(item for item in found["items"] if item["reason"] == reason)


async def test_a_scheduled_pod_has_an_event_that_names_it(server):
    pod = await server.running_pod("p")
    event = await about(server, pod, "Scheduled")
    involved = event["involvedObject"]
    assert (involved["kind"], involved["namespace"], involved["name"]) == ("Pod", server.namespace, "p")
    assert event["type"] == "Normal"
    assert event["message"] == f"Successfully assigned {server.namespace}/p to {pod['spec']['nodeName']}"
    assert event["metadata"]["name"].startswith("p.")


async def test_a_pod_that_no_node_takes_has_a_warning(server):
    pod = await server.waiting_pod("p")
    event = await about(server, pod, "FailedScheduling")
    assert event["type"] == "Warning"
    assert "nodes are available" in event["message"]


async def test_a_claim_that_cannot_be_provisioned_has_a_warning(server):
    body = claim("home")
    body["spec"]["storageClassName"] = "fast"
    made = await server.create("persistentvolumeclaims", body)
    event = await about(server, made, "ProvisioningFailed")
    assert event["type"] == "Warning"
    assert event["message"] == 'storageclass.storage.k8s.io "fast" not found'


async def test_events_are_found_by_what_they_are_about(server):
    one, two = await server.waiting_pod("one"), await server.waiting_pod("two")
    await server.create("events", event_about(one, "e1", "First"))
    await server.create("events", event_about(two, "e2", "Second"))
    for selector in (
        "involvedObject.name=one,reason=First",
        f"involvedObject.uid={one['metadata']['uid']},reason=First",
        "involvedObject.kind=Pod,involvedObject.name=one,reason=First",
        f"involvedObject.namespace={server.namespace},reason=First",
        "metadata.name=e1",
    ):
        assert names(await server.list("events", fieldSelector=selector)) == ["e1"], selector


async def test_a_watch_of_events_can_be_about_one_object(server):
    one, two = await server.waiting_pod("one"), await server.waiting_pod("two")
    version = await server.version("events")
    selector = f"involvedObject.uid={one['metadata']['uid']},type=Normal"
    async with server.client.watch(
        server.path("events"), resourceVersion=version, fieldSelector=selector
    ) as watch:
        await server.create("events", event_about(two, "e2", "Second"))
        await server.create("events", event_about(one, "e1", "First"))
        assert shown([await watch.next()]) == [("ADDED", "e1")]


async def test_events_outlive_their_pod(server):
    pod = await server.running_pod("p")
    await about(server, pod, "Scheduled")
    await server.client.delete(server.path("pods", "p"), gracePeriodSeconds=0)
    await about(server, pod, "Scheduled")
