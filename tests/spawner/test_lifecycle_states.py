"""The states of one server's life and every step between them, as docs/lifecycle.md describes them."""

import asyncio
from contextlib import suppress
from functools import partial

import pytest

from devkit.minicluster.faults import ReplyLost, Slow
from devkit.minicluster.resources import CLAIMS
from devkit.testing.runs import Run, plant_pod, pods, restart_process, struck, takes
from k8s_hub.kube.core.store import Entry
from k8s_hub.spawner import lifecycle
from k8s_hub.spawner.lifecycle import Failed, Idle, Running, Starting, Unknown

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

POD = Entry(uid="u", text="{}", values=())

IN_DOUBT = (Starting("a"), Failed("a"))
STATES = (Unknown(), Idle(), Starting(), Running(), Running(POD), *IN_DOUBT)

STEPS = {
    "start() is called": lifecycle.start_begun,
    "it creates its first object": lambda life: lifecycle.create_begun("a"),
    "it returns": lambda life: lifecycle.start_succeeded(),
    "it fails": lifecycle.start_failed,
    "stop() is done": lifecycle.stopped,
    "clear_state()": lifecycle.cleared,
    "poll() sees the pod alive": partial(lifecycle.seen_alive, pod=POD),
    "poll() gets no answer": lifecycle.unanswered,
}

THEN = {
    "start() is called": {Starting("a"): Starting("a"), Failed("a"): Starting("a"), None: Starting()},
    "it creates its first object": {None: Starting("a")},
    "it returns": {None: Running()},
    "it fails": {Starting(): Idle(), Starting("a"): Failed("a")},
    "stop() is done": {Starting(): Starting(), Starting("a"): Starting(), None: Idle()},
    "clear_state()": {Starting(): Starting(), **{state: state for state in IN_DOUBT}, None: Idle()},
    "poll() sees the pod alive": {
        Starting(): Starting(),
        **{state: state for state in IN_DOUBT},
        None: Running(POD),
    },
    "poll() gets no answer": {Unknown(): Idle()},
}
"""What each step makes of a state; under None of all others, and where there is no None they stay."""


@pytest.mark.parametrize("step", STEPS)
def test_every_step_from_every_state(step):
    then = THEN[step]
    for state in STATES:
        assert STEPS[step](state) == then.get(state, then.get(None, state)), state


def test_no_walk_leaves_these_states():
    reached = {Unknown()}
    while not (now := reached | {step(state) for state in reached for step in STEPS.values()}) <= reached:
        reached = now

    assert reached == set(STATES)


def test_whatever_a_start_may_have_left_only_a_stop_or_a_url_ends_it():
    ends = {name for state in IN_DOUBT for name, step in STEPS.items() if step(state) not in IN_DOUBT}

    assert {state for state in STATES if lifecycle.may_have_created(state)} == set(IN_DOUBT)
    assert ends == {"it returns", "stop() is done"}


async def test_one_life(cluster):
    run = Run()
    assert run.spawner._life == Unknown()
    assert await run.spawner.poll() == 0

    takes(cluster, pull=5)
    start = asyncio.create_task(run.start())
    await asyncio.sleep(2)
    assert run.spawner._life == Starting(run.spawner._life.attempt_id)
    assert await run.spawner.poll() is None
    await start
    assert run.spawner._life == Running()

    assert await run.spawner.poll() is None
    assert isinstance(run.spawner._life.seen, Entry)

    await run.stop()
    assert run.spawner._life == Idle()
    assert pods(cluster) == []


async def test_a_start_that_fails_before_its_first_create_leaves_nothing_to_stop(cluster):
    run = Run(profile_list=[{"display_name": "Small"}])
    run.spawner.user_options = {"profile": "huge"}

    with pytest.raises(Exception, match="huge"):
        await run.start()

    assert run.spawner._life == Idle()
    assert await run.spawner.poll() == 1


async def test_a_start_that_is_cancelled_in_a_create_waits_for_the_hubs_stop(cluster):
    run = Run()
    with struck(cluster, Slow(seconds=2), "create", CLAIMS):
        start = asyncio.create_task(run.start())
        await asyncio.sleep(1)
        start.cancel()
        with suppress(asyncio.CancelledError):
            await start

    assert isinstance(run.spawner._life, Failed)
    run.spawner.clear_state()
    assert await run.spawner.poll() is None
    await run.stop()
    assert run.spawner._life == Idle()


async def test_the_next_start_takes_over_what_the_last_one_may_have_left(cluster):
    begun = []
    run = Run(profile_list=lambda spawner: begun.append(spawner._life) or [])
    with struck(cluster, ReplyLost(), "create", count=1000), pytest.raises(Exception, match="cluster"):
        await run.start()
    left = run.spawner._life
    assert isinstance(left, Failed)

    await run.start()

    assert begun == [Starting(), Starting(left.attempt_id)]
    assert run.spawner._life == Running()


async def test_a_server_of_an_earlier_hub_is_known_once_the_cluster_has_shown_it(cluster):
    plant_pod(cluster)
    await restart_process()
    run = Run()
    run.has_row()

    assert await run.spawner.poll() is None

    assert isinstance(run.spawner._life, Running)


async def test_the_cluster_is_waited_for_long_once(cluster, looptime):
    await cluster.go_away()
    run = Run()
    run.has_row()

    assert await run.spawner.poll() is None
    assert run.spawner._life == Idle()
    assert looptime == pytest.approx(lifecycle.UNFINISHED_START, abs=1)
    assert await run.spawner.poll() is None
    assert looptime <= lifecycle.UNFINISHED_START + 5
