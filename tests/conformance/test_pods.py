"""Pods: from Pending to Running, and how they go."""

import asyncio
import re

import pytest

from tests.conformance.server import (
    UNPLACEABLE,
    Server,
    claim,
    is_unschedulable,
    pod,
    reference_to,
    secret,
    service,
    shown,
    using,
    version_of,
)


def is_terminating(event) -> bool:
    return "deletionTimestamp" in event["object"]["metadata"]


async def test_a_new_pod_is_pending(server):
    made = await server.create("pods", pod("p"))
    assert made["status"]["phase"] == "Pending"


async def test_a_pod_gets_a_node_an_address_and_a_ready_container(server):
    found = await server.running_pod("p")
    assert found["spec"]["nodeName"]
    assert re.fullmatch(r"127(\.\d+){3}", found["status"]["podIP"])
    [container] = found["status"]["containerStatuses"]
    assert (container["name"], container["ready"], container["restartCount"]) == ("notebook", True, 0)
    assert "startedAt" in container["state"]["running"]
    conditions = {c["type"]: c["status"] for c in found["status"]["conditions"]}
    assert {conditions[name] for name in ("PodScheduled", "Initialized", "ContainersReady", "Ready")} == {
        "True"
    }


async def test_two_pods_have_two_addresses(server):
    one, two = await server.running_pod("one"), await server.running_pod("two")
    assert one["status"]["podIP"] != two["status"]["podIP"]


async def test_a_watch_sees_a_pod_from_pending_to_running(server):
    version = await server.version()
    async with server.client.watch(server.path("pods"), resourceVersion=version) as watch:
        made = await server.create("pods", pod("p"))
        seen = await watch.until(lambda event: event["object"]["status"]["phase"] == "Running")
    assert [event["type"] for event in seen] == ["ADDED"] + ["MODIFIED"] * (len(seen) - 1)
    assert {event["object"]["metadata"]["uid"] for event in seen} == {made["metadata"]["uid"]}
    versions = [version_of(event["object"]) for event in seen]
    assert versions == sorted(set(versions))


async def test_defaults_are_filled_in(server):
    """Code that reads pods relies on these being there."""
    made = await server.create("pods", pod("p"))
    assert made["spec"]["restartPolicy"] == "Always"
    assert made["spec"]["terminationGracePeriodSeconds"] == 30


async def test_a_pod_that_no_node_takes_says_why(server):
    found = await server.waiting_pod("p")
    assert found["status"]["phase"] == "Pending"
    assert "nodeName" not in found["spec"]
    [condition] = [c for c in found["status"]["conditions"] if c["type"] == "PodScheduled"]
    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    assert re.match(r"0/\d+ nodes are available: ", condition["message"])
    assert "didn't match Pod's node affinity/selector" in condition["message"]


async def test_a_pod_that_asks_for_too_much_says_of_what(server):
    body = pod("p")
    body["spec"]["containers"][0]["resources"] = {"requests": {"memory": "900Ti"}}
    await server.create("pods", body)
    found = await server.client.eventually(server.path("pods", "p"), is_unschedulable)
    assert "Insufficient memory" in found["status"]["conditions"][0]["message"]


async def test_a_pod_waits_for_its_claim_to_appear(server):
    await server.create("pods", pod("p", **using("home")))
    found = await server.client.eventually(server.path("pods", "p"), is_unschedulable)
    assert 'persistentvolumeclaim "home" not found' in found["status"]["conditions"][0]["message"]
    await server.create("persistentvolumeclaims", claim("home"))
    await server.client.eventually(server.path("pods", "p"), lambda pod: pod["status"]["phase"] == "Running")


async def test_deleting_a_running_pod_marks_it_then_removes_it(server):
    made = await server.running_pod("p")
    version = str(version_of(made))
    async with server.client.watch(server.path("pods"), resourceVersion=version) as watch:
        answer = await server.client.delete(server.path("pods", "p"), gracePeriodSeconds=5)
        seen = await watch.until(lambda event: event["type"] == "DELETED")
    assert answer["metadata"]["deletionGracePeriodSeconds"] == 5
    assert {event["type"] for event in seen[:-1]} == {"MODIFIED"}
    first_dying = next(event for event in seen if is_terminating(event))
    assert first_dying["type"] == "MODIFIED"
    assert first_dying["object"]["metadata"]["deletionGracePeriodSeconds"] == 5
    assert {event["object"]["metadata"]["uid"] for event in seen} == {made["metadata"]["uid"]}
    versions = [version_of(event["object"]) for event in seen]
    assert versions == sorted(set(versions))


async def test_the_grace_period_is_the_pods_own_if_none_is_asked_for(server):
    await server.running_pod("p", terminationGracePeriodSeconds=7)
    answer = await server.client.delete(server.path("pods", "p"))
    assert answer["metadata"]["deletionGracePeriodSeconds"] == 7
    await server.client.gone(server.path("pods", "p"))


async def test_the_grace_period_may_come_in_the_query(server):
    await server.running_pod("p")
    answer = await server.client.call("DELETE", server.path("pods", "p"), gracePeriodSeconds="3")
    assert answer.body["metadata"]["deletionGracePeriodSeconds"] == 3
    await server.client.gone(server.path("pods", "p"))


async def test_a_deletion_without_grace_is_immediate(server):
    """The pod is gone when the answer comes, although watches may see it dying before it is deleted."""
    made = await server.running_pod("p")
    async with server.client.watch(server.path("pods"), resourceVersion=str(version_of(made))) as watch:
        await server.client.delete(server.path("pods", "p"), gracePeriodSeconds=0)
        assert (await server.client.call("GET", server.path("pods", "p"))).code == 404
        seen = await watch.until(lambda event: event["type"] == "DELETED")
    assert all(event["type"] == "MODIFIED" and is_terminating(event) for event in seen[:-1])


async def test_a_pod_without_a_node_is_gone_at_once_whatever_its_grace(server):
    made = await server.waiting_pod("p")
    async with server.client.watch(server.path("pods"), resourceVersion=str(version_of(made))) as watch:
        await server.client.delete(server.path("pods", "p"), gracePeriodSeconds=30)
        assert (await server.client.call("GET", server.path("pods", "p"))).code == 404
        seen = await watch.until(lambda event: event["type"] == "DELETED")
    assert all(event["type"] == "MODIFIED" and is_terminating(event) for event in seen[:-1])


async def test_a_deletion_meant_for_another_pod_leaves_this_one_running(server):
    await server.running_pod("p")
    other = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    answer = await server.client.call("DELETE", server.path("pods", "p"), other)
    assert answer.code == 409
    found = await server.client.get(server.path("pods", "p"))
    assert not is_terminating({"object": found})


async def test_what_a_pod_owns_goes_with_it(server):
    owner = await server.running_pod("p")
    await server.create("secrets", secret("p-token", owner=owner))
    await server.create("services", service("p-service", owner=owner))
    await server.create("secrets", secret("other"))
    await server.client.delete(server.path("pods", "p"), gracePeriodSeconds=0)
    await server.client.gone(server.path("secrets", "p-token"))
    await server.client.gone(server.path("services", "p-service"))
    assert (await server.client.call("GET", server.path("secrets", "other"))).code == 200


async def test_what_a_gone_pod_owns_does_not_stay(server):
    """An object made for a pod that was deleted meanwhile is collected too."""
    owner = await server.waiting_pod("p")
    await server.client.delete(server.path("pods", "p"))
    await server.create("secrets", secret("late", owner=owner))
    await server.client.gone(server.path("secrets", "late"))


async def test_what_a_new_pod_of_the_same_name_does_not_own_goes(server):
    """Ownership is by uid, not by name."""
    owner = await server.waiting_pod("p")
    await server.create("secrets", secret("p-token", owner=owner))
    await server.client.delete(server.path("pods", "p"))
    await server.create("pods", pod("p", **UNPLACEABLE))
    await server.client.gone(server.path("secrets", "p-token"))
    assert (await server.client.call("GET", server.path("pods", "p"))).code == 200


async def test_an_owned_object_stays_while_its_owner_is_there(server):
    owner = await server.waiting_pod("p")
    version = await server.version("secrets")
    body = secret("p-token")
    body["metadata"]["ownerReferences"] = [reference_to(owner)]
    await server.create("secrets", body)
    seen = await server.client.events(server.path("secrets"), resourceVersion=version, timeoutSeconds="2")
    assert shown(seen) == [("ADDED", "p-token")]


async def test_many_pods_at_once_all_run(server: Server):
    await asyncio.gather(*(server.running_pod(f"p{number}") for number in range(20)))
    running = await server.list("pods", fieldSelector="status.phase=Running")
    assert len({found["status"]["podIP"] for found in running["items"]}) == 20


@pytest.mark.parametrize("grace", [0, 1])
async def test_a_name_can_be_used_again_when_the_pod_is_gone(server, grace):
    first = await server.running_pod("p")
    await server.client.delete(server.path("pods", "p"), gracePeriodSeconds=grace)
    await server.client.gone(server.path("pods", "p"))
    second = await server.running_pod("p")
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
