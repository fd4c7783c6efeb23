"""docs/lifecycle.md, the rows of stop: it removes the pod, with and without failures, and touches nothing else."""

import asyncio
import logging

import pytest

from devkit.minicluster.faults import (
    CommitAfterDisconnect,
    FaultRule,
    Refuse,
    ReplyLost,
    Slow,
    WatchGone,
    refuse,
    too_many_requests,
)
from devkit.minicluster.resources import PODS
from devkit.testing.eventually import eventually
from devkit.testing.runs import NAMESPACE, Run, claims, edit_pod, plant_pod, pods, struck, takes
from k8s_hub.kube.metrics import PENDING_DELETES
from k8s_hub.objects.keys import Key, key_of, metadata_of, uid_of
from k8s_hub.spawner.stop import STOP_TIMEOUTS
from tests.spawner.cells import AWAY, LOST, SLOW, UP, cell

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

BUSY = {
    "429 with Retry-After": too_many_requests(retry_after_seconds=7),
    "503": Refuse(code=503, body="<html>upstream connect error</html>"),
    "slow": Slow(seconds=10),
}


async def started(**traits):
    """Return a run whose server is up."""
    run = Run(**traits)
    await run.start()
    return run


async def cut_off(run, *, after):
    """Start, and cancel the start after some seconds, as a user's DELETE does."""
    start = asyncio.create_task(run.start())
    await asyncio.sleep(after)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start


# --- Ours ---


@cell("stop, ours", UP)
async def test_stop_ours__api_up(cluster, looptime):
    """The pod gets its grace, and stop returns when it is gone; the claim stays."""
    run = await started(delete_grace_period=9)
    takes(cluster, stop=7)
    graces = []
    cluster.database.subscribe(
        lambda _, change: graces.append(metadata_of(change.after.obj).get("deletionGracePeriodSeconds"))
    )

    await run.stop()

    assert 7 <= looptime <= 8
    assert 9 in graces
    assert pods(cluster) == []
    assert len(claims(cluster)) == 1


@cell("stop, ours", UP)
async def test_stop_ours__api_up_until_stop_timeout(cluster, looptime, caplog):
    """The cause is logged and counted, and the API server finishes without us."""
    run = await started(stop_timeout=60)
    takes(cluster, stop=200)
    edit_pod(cluster, finalizers=["example.org/backup"])
    before = STOP_TIMEOUTS._value.get()

    await run.stop()

    assert 60 <= looptime <= 61
    assert STOP_TIMEOUTS._value.get() == before + 1
    assert "default/jupyter-ada: the pod is not gone after 60 s" in caplog.text
    assert "because a service of the cluster (example.org/backup) has not released it" in caplog.text
    await asyncio.sleep(141)
    assert pods(cluster) == []


async def test_stop_ours__unknown_whether_the_pod_is_gone(cluster, looptime, caplog):
    """The API server has accepted the deletion: a later refusal to show the pod does not fail the stop."""
    run = await started(stop_timeout=60)
    takes(cluster, stop=200)
    edit_pod(cluster, labels={})  # it leaves the view
    before = STOP_TIMEOUTS._value.get()
    stop = asyncio.create_task(run.stop())
    await asyncio.sleep(1)
    denied = refuse({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "pods is forbidden"})

    with struck(cluster, denied, "get"):
        await stop

    assert looptime <= 61
    assert STOP_TIMEOUTS._value.get() == before + 1
    assert "default/jupyter-ada: the deletion was accepted; unknown whether the pod is gone: " in caplog.text
    assert "pods is forbidden" in caplog.text
    await asyncio.sleep(200)
    assert pods(cluster) == []


async def test_stop_now_gives_no_grace(cluster):
    run = await started(delete_grace_period=9)
    takes(cluster, stop=1000)

    await run.spawner.stop(now=True)

    assert pods(cluster) == []


@cell("stop, ours", SLOW)
@pytest.mark.parametrize("effect", BUSY.values(), ids=BUSY)
async def test_stop_ours__api_busy(cluster, looptime, effect):
    """The request is repeated, within the time of a stop."""
    run = await started()
    with struck(cluster, effect, "delete", count=2) as rule:
        await run.stop()

    assert cluster.faults.hits(rule) == 2
    assert looptime < 60
    assert pods(cluster) == []


@cell("stop, ours", AWAY)
async def test_stop_ours__api_away(cluster, looptime, caplog):
    """The hub forgets the server, so the delete is kept, logged and counted until it is delivered."""
    caplog.set_level(logging.INFO)
    run = await started()
    await cluster.go_away()

    await run.stop()

    assert looptime <= 60
    assert PENDING_DELETES._value.get() == 1
    assert "Pod default/jupyter-ada: retrying its deletion in the background" in caplog.text
    await asyncio.sleep(600)
    assert len(pods(cluster)) == 1

    await cluster.come_back()
    await asyncio.sleep(32)
    assert pods(cluster) == []
    assert PENDING_DELETES._value.get() == 0
    assert len(claims(cluster)) == 1


@cell("stop, ours", AWAY)
async def test_stop_ours__api_away_and_the_pod_not_in_view(cluster):
    """A pod that nobody has seen yet is searched for, as soon as the API is back."""
    run = Run()
    with struck(cluster, Slow(seconds=1), "create", count=1):
        await cut_off(run, after=0.5)
    await cluster.go_away()
    await run.stop()
    assert len(pods(cluster)) <= 1

    await cluster.come_back()
    await asyncio.sleep(32)
    assert pods(cluster) == []
    await asyncio.sleep(80)
    assert PENDING_DELETES._value.get() == 0


@cell("stop, ours", AWAY)
async def test_stop_ours__api_away_while_it_waits_for_the_end(cluster, looptime):
    """The delete was taken: whatever happens then, the pod ends."""
    run = await started(stop_timeout=60)
    takes(cluster, stop=20)
    stop = asyncio.create_task(run.stop())
    await asyncio.sleep(5)
    await cluster.go_away()
    await asyncio.sleep(25)
    await cluster.come_back()
    await stop

    assert 30 <= looptime <= 36
    assert pods(cluster) == []


@cell("stop, ours", LOST)
async def test_stop_ours__reply_lost(cluster):
    """A delete whose reply was lost is repeated, and the same uid is meant."""
    run = await started()
    with struck(cluster, ReplyLost(), "delete", count=1) as rule:
        await run.stop()

    assert cluster.faults.hits(rule) == 1
    assert pods(cluster) == []


async def test_the_next_start_waits_for_a_pod_that_stop_has_left_to_the_api_server(cluster, looptime):
    first = await started(stop_timeout=10)
    takes(cluster, stop=30)
    await first.stop()
    (left,) = pods(cluster)

    await first.next().start()

    (pod,) = pods(cluster)
    assert uid_of(pod) != uid_of(left)
    assert 30 <= looptime <= 31


async def test_a_stop_after_a_restart_of_the_hub_finds_the_pod(cluster):
    first = await started()

    second = first.next(pod_name_template="other-{user_server}")
    second.is_at("http://127.0.0.1:8888")
    await second.stop()

    assert pods(cluster) == []


async def test_a_pod_that_a_hook_has_renamed_is_found_though_no_view_shows_it(cluster):
    def rename(spawner, pod):
        pod.metadata.name = "another-name"
        return pod

    run = Run(modify_pod_hook=rename)
    await Run("bob").start()
    with (
        struck(cluster, Refuse(code=503, body="no watch"), "watch"),
        struck(cluster, Slow(seconds=2), "create"),
    ):
        cluster.faults.add(FaultRule(effect=WatchGone(), verb="watch", count=2))
        await cut_off(run, after=1)
        await asyncio.sleep(1.5)
        assert len(pods(cluster)) == 2

        await run.stop()

    assert [key_of(pod).name for pod in pods(cluster)] == ["jupyter-bob"]


async def test_all_pods_of_the_server_go_also_one_of_an_earlier_name(cluster):
    """With other names in the configuration, a hub that died may have left one behind."""
    plant_pod(cluster, "earlier-name")
    run = await started()
    assert len(pods(cluster)) == 2

    await run.stop()

    assert pods(cluster) == []


async def test_pods_of_others_stay(cluster):
    run = await started(common_labels={"app.kubernetes.io/instance": "hub-a"})
    await Run("bob").start()
    await Run("ada", "gpu").start()
    plant_pod(cluster, "other-release", labels={"app.kubernetes.io/instance": "hub-b"})

    await run.stop()

    assert {key_of(pod).name for pod in pods(cluster)} == {"jupyter-bob", "jupyter-ada--gpu", "other-release"}


async def test_a_pod_that_is_being_deleted_already_is_not_waited_for(cluster, looptime):
    """The reason of a failed start is read when the stop returns; the next start waits for the pod."""
    run = await started()
    takes(cluster, stop=40)
    edit_pod(cluster, deletionTimestamp="2100-01-01T00:00:30Z", deletionGracePeriodSeconds=30)
    await asyncio.sleep(1)

    await run.spawner.stop()

    assert looptime < 5
    assert len(pods(cluster)) == 1


async def test_another_hubs_pod_of_the_same_name_stays_though_no_view_shows_it(cluster):
    run = await started(common_labels={"app.kubernetes.io/instance": "hub-a"})
    cluster.database.remove(PODS, Key(NAMESPACE, "jupyter-ada"))
    labels = {"app.kubernetes.io/instance": "hub-b", "component": "another"}
    other = plant_pod(cluster, labels=labels)

    await run.stop()

    assert [uid_of(pod) for pod in pods(cluster)] == [uid_of(other)]


# --- Undelivered deletes and the next start ---


async def test_a_new_start_before_the_old_delete_is_delivered(cluster):
    """The old pod makes room, and the delete that was kept is about its uid, not about the new pod."""
    first = await started()
    (old,) = pods(cluster)
    await cluster.go_away()
    await first.stop()
    second = first.next()
    start = asyncio.create_task(second.start())
    await asyncio.sleep(10)

    await cluster.come_back()
    await start
    await asyncio.sleep(300)

    (pod,) = pods(cluster)
    assert uid_of(pod) != uid_of(old)
    assert await second.spawner.poll() is None


async def test_a_delete_that_was_kept_spares_a_later_pod_of_its_name(cluster):
    """Somebody else has removed the old pod meanwhile, and the next one runs when the delete arrives."""
    run = await started()
    await cluster.go_away()
    await run.stop()
    cluster.database.remove(PODS, Key(NAMESPACE, "jupyter-ada"))
    later = plant_pod(cluster)

    await cluster.come_back()
    await asyncio.sleep(300)

    assert PENDING_DELETES._value.get() == 0
    assert [uid_of(pod) for pod in pods(cluster)] == [uid_of(later)]


async def test_a_new_start_before_the_old_search_has_ended(cluster):
    """A search is for a pod that looks like this server's, which is what the new pod will look like."""
    run = Run()
    with struck(cluster, Slow(seconds=1), "create", count=1):
        await cut_off(run, after=0.5)
    await cluster.go_away()
    await run.stop()
    second = run.next()
    start = asyncio.create_task(second.start())
    await asyncio.sleep(10)

    await cluster.come_back()
    await start
    await asyncio.sleep(300)

    assert len(pods(cluster)) == 1
    assert await second.spawner.poll() is None


async def test_a_search_that_is_asking_while_the_new_start_creates(cluster):
    """What it hears then may be the new pod."""
    run = Run()
    with struck(cluster, Slow(seconds=1), "create", count=1):
        await cut_off(run, after=0.5)
    await cluster.go_away()
    await run.stop()
    second = run.next()
    with struck(cluster, Slow(seconds=2.5), "get") as rule:
        await cluster.come_back()
        await eventually(lambda: cluster.faults.hits(rule) > 0, seconds=60)
        await second.start()
        await asyncio.sleep(300)

    assert len(pods(cluster)) == 1
    assert await second.spawner.poll() is None


# --- Nothing there ---


@cell("stop, nothing there", UP)
async def test_stop_nothing_there__api_up(cluster, witness, looptime):
    run = await started()
    await run.stop()
    witness.calls.clear()

    await run.spawner.stop()

    assert looptime < 1
    assert {call.verb for call in witness.calls} <= {"get"}


# --- A create in flight ---


@cell("stop while a create is in flight", UP)
@pytest.mark.parametrize(
    "effect",
    [Slow(seconds=2), CommitAfterDisconnect(seconds=2), CommitAfterDisconnect(seconds=59)],
    ids=["slow", "committed at 2 s", "committed at 59 s"],
)
async def test_stop_while_a_create_is_in_flight__api_up(cluster, looptime, effect):
    """Its outcome is waited for, and if that is unknown the pod is looked for as long as it may still come."""
    run = Run()
    with struck(cluster, effect, "create", count=1) as rule:
        await cut_off(run, after=1)
        await run.stop()

    assert cluster.faults.hits(rule) == 1
    assert looptime <= 6
    await asyncio.sleep(95)
    assert pods(cluster) == []
    assert len(claims(cluster)) == 1
    assert PENDING_DELETES._value.get() == 0
