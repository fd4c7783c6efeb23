"""A pod's life on the node, as its status and its events tell it."""

import asyncio

import pytest

from devkit.minicluster.kubelet import BackOff, Latencies
from devkit.minicluster.node import Node
from devkit.minicluster.resources import KINDS
from devkit.minicluster.runtime import Exit, StartError
from k8s_hub.objects.keys import Key
from tests.devkit.minicluster.material import (
    CLAIMS,
    EVENTS,
    PODS,
    ScriptedRuntime,
    claim,
    is_in,
    is_waiting_for,
    main_state,
    pod,
    pod_with_claim,
    running_cluster,
)

pytestmark = pytest.mark.looptime

FAILED = Exit(code=3, reason="Error")


async def lives(client, name="a"):
    """The reasons of the pod's events, in order, each as often as it was said."""
    events = (await client.get(EVENTS, fieldSelector=f"involvedObject.name={name}"))["items"]
    return [reason for event in events for reason in [event["reason"]] * event["count"]]


async def test_a_pod_comes_to_run_with_an_address_of_its_own(cluster, client):
    for name in "ab":
        await client.create(PODS, pod(name))
    found = [await client.eventually(f"{PODS}/{name}", is_in("Running")) for name in "ab"]
    addresses = {each["status"]["podIP"] for each in found}
    assert len(addresses) == 2
    assert all(address.startswith("127.") for address in addresses)
    ready = {each["type"]: each["status"] for each in found[0]["status"]["conditions"]}
    assert (ready["Ready"], ready["PodScheduled"]) == ("True", "True")
    assert await lives(client) == ["Scheduled", "Pulled", "Started"]


async def test_each_step_takes_the_time_that_the_node_is_said_to_need(tmp_path):
    latencies = Latencies(schedule=1, pull=10, start=100)
    async with running_cluster(tmp_path, latencies=latencies) as (_, client):
        await client.create(PODS, pod())
        await asyncio.sleep(0.5)
        assert "nodeName" not in (await client.get(f"{PODS}/a"))["spec"]
        await asyncio.sleep(10)
        found = await client.get(f"{PODS}/a")
        assert (found["spec"]["nodeName"], main_state(found)[1]) == ("mini", {"reason": "ContainerCreating"})
        await asyncio.sleep(101)
        assert is_in("Running")(await client.get(f"{PODS}/a"))


async def test_a_pod_waits_for_its_claim_and_says_so(cluster, client):
    await client.create(PODS, pod_with_claim())
    found = await client.eventually(f"{PODS}/a", lambda pod: pod["status"].get("conditions"))
    condition = found["status"]["conditions"][0]
    assert (condition["type"], condition["reason"]) == ("PodScheduled", "Unschedulable")
    assert 'persistentvolumeclaim "home" not found' in condition["message"]
    await client.create(CLAIMS, claim())
    await client.eventually(f"{PODS}/a", is_in("Running"))
    assert (await lives(client))[:2] == ["FailedScheduling", "Scheduled"]


async def test_a_claim_of_an_unknown_class_keeps_its_pod_waiting(cluster, client):
    await client.create(CLAIMS, claim(storageClassName="gold"))
    await client.create(PODS, pod_with_claim())
    found = await client.eventually(f"{PODS}/a", lambda pod: pod["status"].get("conditions"))
    assert "pod has unbound immediate PersistentVolumeClaims" in found["status"]["conditions"][0]["message"]
    assert (await client.get(f"{CLAIMS}/home"))["status"]["phase"] == "Pending"
    assert await lives(client, "home") == ["ProvisioningFailed"]


async def test_a_pod_larger_than_the_node_is_unschedulable(cluster, client):
    await client.create(PODS, pod(container={"resources": {"limits": {"nvidia.com/gpu": 2}}}))
    found = await client.eventually(f"{PODS}/a", lambda pod: pod["status"].get("conditions"))
    assert found["status"]["phase"] == "Pending"
    assert "1 Insufficient nvidia.com/gpu" in found["status"]["conditions"][0]["message"]


async def test_a_node_selector_is_obeyed(tmp_path):
    async with running_cluster(tmp_path, node=Node(labels={"disk": "ssd"})) as (_, client):
        await client.create(PODS, pod("a", nodeSelector={"disk": "ssd"}))
        await client.create(PODS, pod("b", nodeSelector={"disk": "tape"}))
        await client.eventually(f"{PODS}/a", is_in("Running"))
        found = await client.get(f"{PODS}/b")
        assert "didn't match Pod's node affinity/selector" in found["status"]["conditions"][0]["message"]


async def test_an_image_that_is_not_there_is_tried_again_and_again(tmp_path):
    async with running_cluster(tmp_path, known_images=frozenset({"example/good:1"})) as (_, client):
        await client.create(PODS, pod(container={"image": "example/gone:1"}))
        first = await client.eventually(f"{PODS}/a", is_waiting_for("ErrImagePull"))
        then = await client.eventually(f"{PODS}/a", is_waiting_for("ImagePullBackOff"))
        await client.eventually(f"{PODS}/a", is_waiting_for("ErrImagePull"))
        assert "example/gone:1: not found" in main_state(first)[1]["message"]
        assert main_state(then)[1]["message"].startswith('Back-off pulling image "example/gone:1"')
        assert then["status"]["phase"] == "Pending"
        assert {"Failed", "BackOff"} <= set(await lives(client))


async def test_an_image_with_an_impossible_name_is_invalid(cluster, client):
    await client.create(PODS, pod(container={"image": "Not An Image"}))
    found = await client.eventually(f"{PODS}/a", is_waiting_for("InvalidImageName"))
    assert "invalid reference format" in main_state(found)[1]["message"]


@pytest.mark.parametrize(
    ("policy", "how", "phase"),
    [
        ("Never", Exit.of(0), "Succeeded"),
        ("Never", FAILED, "Failed"),
        ("OnFailure", Exit.of(0), "Succeeded"),
    ],
)
async def test_a_container_that_is_not_restarted_ends_its_pod(tmp_path, policy, how, phase):
    async with running_cluster(tmp_path, ScriptedRuntime((5, how))) as (_, client):
        await client.create(PODS, pod(restartPolicy=policy))
        found = await client.eventually(f"{PODS}/a", is_in(phase))
        name, state = main_state(found)
        assert (name, state["exitCode"], state["reason"]) == ("terminated", how.code, how.reason)
        assert found["status"]["containerStatuses"][0]["restartCount"] == 0


@pytest.mark.parametrize(("policy", "how"), [("Always", Exit.of(0)), ("OnFailure", FAILED)])
async def test_the_first_restart_is_at_once(tmp_path, policy, how):
    async with running_cluster(tmp_path, ScriptedRuntime((5, how))) as (_, client):
        await client.create(PODS, pod(restartPolicy=policy))
        await asyncio.sleep(5.1)
        found = await client.get(f"{PODS}/a")
        status = found["status"]["containerStatuses"][0]
        assert (found["status"]["phase"], status["restartCount"]) == ("Running", 1)
        assert status["lastState"]["terminated"]["exitCode"] == how.code


async def test_a_crash_loop_backs_off_longer_and_longer(tmp_path):
    runtime = ScriptedRuntime(*[(0.1, FAILED)] * 4)
    back_off = BackOff(initial=10, factor=2, ceiling=1000)
    async with running_cluster(tmp_path, runtime, back_off=back_off) as (_, client):
        await client.create(PODS, pod(restartPolicy="OnFailure"))
        found = await client.eventually(f"{PODS}/a", is_waiting_for("CrashLoopBackOff"))
        status = found["status"]["containerStatuses"][0]
        assert (status["restartCount"], found["status"]["phase"]) == (1, "Running")
        assert status["lastState"]["terminated"]["exitCode"] == 3
        assert "back-off 10s" in status["state"]["waiting"]["message"]
        await asyncio.sleep(10 + 20 + 40 + 1)
        assert len(runtime.started) == 5
        assert (await lives(client)).count("BackOff") == 3


async def test_a_container_that_cannot_start_is_tried_again_and_says_why(tmp_path):
    runtime = ScriptedRuntime(StartError("CreateContainerConfigError", 'secret "s" not found'))
    async with running_cluster(tmp_path, runtime) as (_, client):
        await client.create(PODS, pod())
        found = await client.eventually(f"{PODS}/a", is_waiting_for("CreateContainerConfigError"))
        assert main_state(found)[1]["message"] == 'secret "s" not found'
        await client.eventually(f"{PODS}/a", is_in("Running"))


async def test_a_deleted_pod_gets_its_grace_and_then_is_gone(tmp_path):
    runtime = ScriptedRuntime()
    async with running_cluster(tmp_path, runtime, latencies=Latencies(stop=8)) as (_, client):
        await client.create(PODS, pod())
        await client.eventually(f"{PODS}/a", is_in("Running"))
        dying = await client.delete(f"{PODS}/a", gracePeriodSeconds=7)
        assert dying["metadata"]["deletionGracePeriodSeconds"] == 7
        await asyncio.sleep(7)
        assert (await client.get(f"{PODS}/a"))["metadata"]["deletionTimestamp"]
        await client.gone(f"{PODS}/a")
        assert runtime.started[0][1].graces == [7]
        assert "Killing" in await lives(client)


async def test_a_pod_deleted_without_grace_is_gone_at_once_and_its_container_too(tmp_path):
    runtime = ScriptedRuntime()
    async with running_cluster(tmp_path, runtime) as (_, client):
        await client.create(PODS, pod())
        await client.eventually(f"{PODS}/a", is_in("Running"))
        await client.delete(f"{PODS}/a", gracePeriodSeconds=0)
        assert (await client.call("GET", f"{PODS}/a")).code == 404
        await runtime.started[0][1].wait()


async def test_a_pod_deleted_while_it_starts_leaves_nothing_running(tmp_path):
    runtime = ScriptedRuntime()
    async with running_cluster(tmp_path, runtime, latencies=Latencies(start=5)) as (_, client):
        await client.create(PODS, pod())
        await asyncio.sleep(1)
        await client.delete(f"{PODS}/a")
        await client.gone(f"{PODS}/a")
        await asyncio.sleep(10)
        assert runtime.started == []


async def test_a_pod_deleted_before_the_node_looks_at_it_is_never_started(tmp_path):
    runtime = ScriptedRuntime()
    async with running_cluster(tmp_path, runtime) as (cluster, client):
        made = await client.create(PODS, pod("template"))
        key = Key("default", "a")
        cluster.database.create(KINDS["pods"], {**made, "metadata": {"name": "a", "namespace": "default"}})
        cluster.database.remove(KINDS["pods"], key)
        await asyncio.sleep(10)
        assert [order.pod["metadata"]["name"] for order, _ in runtime.started] == ["template"]
        assert len(cluster.kubelet._workers) == 1


async def test_a_start_that_succeeds_after_the_deletion_is_undone(tmp_path):
    runtime = ScriptedRuntime(start_seconds=5)
    async with running_cluster(tmp_path, runtime) as (_, client):
        await client.create(PODS, pod())
        await asyncio.sleep(1)
        await client.delete(f"{PODS}/a", gracePeriodSeconds=2)
        await client.gone(f"{PODS}/a")
        assert runtime.started[0][1].graces == [2]


async def test_a_start_that_fails_after_the_deletion_is_the_end(tmp_path):
    runtime = ScriptedRuntime(StartError("RunContainerError", "no"), start_seconds=5)
    async with running_cluster(tmp_path, runtime) as (_, client):
        await client.create(PODS, pod())
        await asyncio.sleep(1)
        await client.delete(f"{PODS}/a")
        await client.gone(f"{PODS}/a")
        assert runtime.started == []


async def test_a_pod_that_is_gone_leaves_address_and_scratch_to_others(tmp_path):
    async with running_cluster(tmp_path, ScriptedRuntime()) as (cluster, client):
        await client.create(PODS, pod())
        await client.eventually(f"{PODS}/a", is_in("Running"))
        home = cluster.kubelet.settings.runtime.started[0][0].home
        home.mkdir(parents=True)
        assert cluster.kubelet.addresses._used
        await client.delete(f"{PODS}/a")
        await client.gone(f"{PODS}/a")
        await asyncio.sleep(1)
        assert not home.exists()
        assert not cluster.kubelet.addresses._used


async def test_a_new_pod_may_take_the_name_while_the_old_container_ends(tmp_path):
    async with running_cluster(tmp_path, latencies=Latencies(stop=5)) as (_, client):
        await client.create(PODS, pod())
        await client.eventually(f"{PODS}/a", is_in("Running"))
        await client.delete(f"{PODS}/a")
        await asyncio.sleep(1)
        await client.delete(f"{PODS}/a", gracePeriodSeconds=0)
        made = await client.create(PODS, pod())
        found = await client.eventually(f"{PODS}/a", is_in("Running"))
        await asyncio.sleep(10)
        assert made["metadata"]["uid"] == found["metadata"]["uid"]
        assert is_in("Running")(await client.get(f"{PODS}/a"))


async def test_the_home_is_the_claims_directory(tmp_path):
    runtime = ScriptedRuntime()
    async with running_cluster(tmp_path, runtime) as (cluster, client):
        await client.create(CLAIMS, claim())
        await client.create(PODS, pod_with_claim())
        await client.eventually(f"{PODS}/a", is_in("Running"))
        order, _ = runtime.started[0]
        assert order.home == cluster.claim_directory("default", "home")
        assert order.home.is_dir()


async def test_a_path_that_leads_out_of_the_claim_is_refused(cluster, client):
    await client.create(CLAIMS, claim())
    mounts = [{"name": "home", "mountPath": "/home/jovyan", "subPath": "../other"}]
    await client.create(PODS, pod_with_claim(container={"volumeMounts": mounts}))
    found = await client.eventually(f"{PODS}/a", is_waiting_for("CreateContainerConfigError"))
    assert 'subPath "../other" leads out of the volume' in main_state(found)[1]["message"]


async def test_without_a_node_pods_stay_as_they_are(tmp_path):
    async with running_cluster(tmp_path, "none") as (_, client):
        await client.create(PODS, pod())
        await asyncio.sleep(100)
        assert (await client.get(f"{PODS}/a"))["status"] == {"phase": "Pending"}


async def test_two_hundred_pods_at_once(cluster, client):
    await asyncio.gather(*(client.create(PODS, pod(f"pod-{number}")) for number in range(200)))
    await client.eventually(PODS, lambda found: all(map(is_in("Running"), found["items"])))
    found = (await client.get(PODS))["items"]
    assert len({each["status"]["podIP"] for each in found}) == 200
