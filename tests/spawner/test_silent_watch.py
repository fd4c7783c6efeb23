"""Packets of a watch get lost and its connection stays open: starts and stops notice it, and lose nothing."""

import asyncio
from functools import partial

import pytest

from devkit.minicluster.faults import CommitAfterDisconnect, EventLost, FaultRule, MuteWatch, Slow, refuse
from devkit.minicluster.resources import PODS
from devkit.minicluster.statuses import status_body
from devkit.testing.runs import NAMESPACE, CallRecorder, Run, edit_pod, plant_pod, pods, struck, takes
from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.objects.keys import Key, uid_of

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

UNAUTHORIZED = refuse(status_body(401, "Unauthorized", "Unauthorized", {}))


def mute(cluster):
    """Mute the watches that are open now; those that are opened later hear everything."""
    for resource in ("pods", "persistentvolumeclaims", "events"):
        cluster.faults.add(FaultRule(effect=MuteWatch(), verb="watch", resource=resource, count=1))


def remove(cluster, name="jupyter-ada"):
    cluster.database.remove(PODS, Key(NAMESPACE, name))


async def test_a_start_notices_that_its_watches_are_silent(cluster, looptime):
    await Run("bob").start()
    mute(cluster)

    await Run().start()

    assert looptime < 15


async def test_a_start_that_waits_for_a_long_time_notices_it_too(cluster, looptime):
    takes(cluster, pull=30)
    start = asyncio.create_task(Run().start())
    await asyncio.sleep(20)
    mute(cluster)

    await start

    assert looptime < 45


async def test_a_start_notices_that_the_events_of_its_running_pod_got_lost(cluster, looptime):
    """The watch hears everything else, such as another user's pod."""
    takes(cluster, pull=32)
    start = asyncio.create_task(Run().start())
    await asyncio.sleep(20)
    with struck(cluster, EventLost(), "watch"):
        await asyncio.sleep(13)
    plant_pod(cluster, "jupyter-bob", username="bob")

    await start

    assert looptime < 45


async def started_unseen(cluster):
    """Begin a start; the watch hears nothing of its pod, and then of another user's."""
    takes(cluster, pull=30)
    with struck(cluster, EventLost(), "watch"):
        start = asyncio.create_task(Run().start())
        await asyncio.sleep(1)
    edit_pod(cluster, "jupyter-bob", finalizers=["example.org/later"])
    return start


async def test_a_start_whose_pod_the_watch_overlooked_is_not_told_that_it_was_removed(cluster, looptime):
    await Run("bob").start()

    await (await started_unseen(cluster))

    assert looptime < 45


@pytest.mark.parametrize("change", [remove, partial(edit_pod, labels={"component": "other"})])
async def test_a_pod_that_no_list_shows_ends_its_start_soon(cluster, change):
    """Somebody has removed it, or has taken it away from the hub."""
    await Run("bob").start()
    start = await started_unseen(cluster)
    change(cluster)
    begun = asyncio.get_running_loop().time()

    with pytest.raises(Exception, match="was removed before it was ready"):  # of either version of the hub
        await start

    assert asyncio.get_running_loop().time() - begun < 20


async def test_a_pod_that_the_view_shows_is_not_looked_for(cluster):
    """A rule of the site calls it deleted."""
    takes(cluster, pull=30)
    deleted = Diagnosis.failed(Stage.STARTING, Reason.DELETED, "The site has deleted your server.")
    run = Run(diagnosis_rules=[lambda seen: deleted if seen.pod is not None else None])
    recorder = cluster.faults.add(CallRecorder())

    with pytest.raises(Exception, match="The site has deleted"):  # of either version of the hub
        await run.start()

    assert not [call for call in recorder.calls if (call.verb, call.resource) == ("get", "pods")]


async def test_a_start_that_makes_room_notices_it(cluster, looptime):
    """The old pod has ended unseen."""
    await (run := Run()).start()
    mute(cluster)
    remove(cluster)

    await run.next().start()

    assert looptime < 15
    assert len(pods(cluster)) == 1


async def test_a_stop_notices_it(cluster, looptime):
    await (run := Run()).start()
    mute(cluster)

    await run.stop()

    assert looptime < 10
    assert pods(cluster) == []


async def test_a_stop_removes_the_pod_that_has_taken_the_place_of_the_one_in_view(cluster):
    """An earlier stop has given up waiting, and a start that was cancelled has made another pod of the same name."""
    await (run := Run()).start()
    mute(cluster)
    remove(cluster)
    successor = plant_pod(cluster)

    await run.stop()

    assert uid_of(successor) not in map(uid_of, pods(cluster))


async def test_a_stop_leaves_another_users_pod_that_has_taken_its_place(cluster):
    await (run := Run()).start()
    mute(cluster)
    remove(cluster)
    successor = plant_pod(cluster, username="eve")

    await run.stop()

    assert uid_of(successor) in map(uid_of, pods(cluster))


async def test_the_successor_is_removed_in_the_background_if_the_api_server_goes_away(cluster):
    await (run := Run(k8s_api_request_retry_timeout=5)).start()
    mute(cluster)
    remove(cluster)
    successor = plant_pod(cluster)
    with struck(cluster, refuse(status_body(503, "ServiceUnavailable", "away", {})), "get"):
        await run.stop()
    assert uid_of(successor) in map(uid_of, pods(cluster))

    await asyncio.sleep(30)

    assert uid_of(successor) not in map(uid_of, pods(cluster))


@pytest.mark.parametrize("effect", [Slow(seconds=2), CommitAfterDisconnect(seconds=20)], ids=["late", "lost"])
async def test_a_pod_of_a_start_is_known_by_its_attempt_though_its_user_was_renamed(cluster, effect):
    """The reply to its creation came after the start was cancelled, or never: its uid is not known."""
    run = Run()
    with struck(cluster, effect, "create", count=1):
        start = asyncio.create_task(run.start())
        await asyncio.sleep(1)
        start.cancel()
        await asyncio.wait([start])
        run.spawner.user.name = "ada-lovelace"
        await run.stop()
    await asyncio.sleep(95)

    assert pods(cluster) == []


async def test_a_token_that_is_refused_for_50_seconds_fails_no_start(cluster, looptime):
    await Run("bob").start()
    with struck(cluster, UNAUTHORIZED, resource="*"):
        start = asyncio.create_task(Run().start())
        await asyncio.sleep(50)
        assert not start.done()

    await start

    assert looptime < 60


async def test_a_refused_token_does_not_end_the_search_for_a_lost_create(cluster):
    await Run("bob").start()
    run = Run()
    with struck(cluster, CommitAfterDisconnect(seconds=40), "create", count=1):
        start = asyncio.create_task(run.start())
        await asyncio.sleep(15)
        start.cancel()
        await asyncio.wait([start])
        await run.stop()
        with struck(cluster, UNAUTHORIZED, resource="*"):
            await asyncio.sleep(240)

    await asyncio.sleep(30)

    assert [pod["metadata"]["name"] for pod in pods(cluster)] == ["jupyter-bob"]
