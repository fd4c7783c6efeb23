"""After a start is cancelled at any point and stopped, nothing is left except the claim.

The tests cancel a start at its first suspension, then at its second, and so on until the start completes. A reply
may arrive between two suspensions, so the tests also count turns of the loop and half seconds. They then do what
the hub does after a DELETE or at its own deadline: poll, and stop if poll returns None.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from devkit.minicluster.faults import CommitAfterDisconnect, ReplyLost, Slow, too_many_requests
from devkit.minicluster.resources import CLAIMS
from devkit.testing.eventually import eventually
from devkit.testing.runs import Run, claims, plant_pod, pods, restart_process, struck, takes
from k8s_hub import KubeSpawner
from k8s_hub.objects.keys import key_of, uid_of
from k8s_hub.spawner.lifecycle import Running
from tests.spawner.cells import AWAY, LOST, SLOW, UP, cell

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

NO_WAIT = {"tornado_settings": {"slow_spawn_timeout": 0}}
"""The hub answers at once; a start goes on behind it."""

PROMPT = 0.1
"""Seconds of loop time in which a cancelled start must have ended: the hub gives it one."""

LATE = 80
"""Seconds after which no request of the past is carried out any more."""

TURNS = 60
"""More turns of the loop than a start has that finds the views filled and waits for no timer."""


class AtSuspension:
    """Awaits a coroutine, and cancels its own task when that suspends for the n-th time (0 is the first)."""

    def __init__(self, number: int, coroutine: Coroutine[Any, Any, str]) -> None:
        self._left = number
        self._coroutine = coroutine
        self.cancelled_at = 0.0

    def __await__(self) -> Generator[Any, Any, str]:
        error: BaseException | None = None
        while True:
            try:
                waits_for = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            except StopIteration as end:
                return str(end.value)
            if self._left == 0:
                self.cancelled_at = now()
                asyncio.current_task().cancel()
            self._left -= 1
            try:
                yield waits_for
            except BaseException as thrown:  # noqa: BLE001 - it is for the coroutine
                error = thrown
            else:
                error = None


def now() -> float:
    return asyncio.get_running_loop().time()


async def is_cut_off_at_suspension(number: int, run: Run) -> bool:
    """Start, and cancel at this suspension; False if the start has come to its end before."""
    driven = AtSuspension(number, run.starting())

    async def drive() -> str:
        return await driven

    start = asyncio.create_task(drive())
    await asyncio.wait([start])
    if start.cancelled():
        assert now() - driven.cancelled_at <= PROMPT
    return start.cancelled()


async def is_cut_off_after_turns(number: int, run: Run, *, most: int = TURNS) -> bool:
    """Start, and cancel after so many turns of the loop; False if the start has come to its end before."""
    start = asyncio.create_task(run.starting())
    for _ in range(number):
        await asyncio.sleep(0)
    return await is_cut_off(start) and number < most


async def is_cut_off_after_half_seconds(number: int, run: Run) -> bool:
    """Start, and cancel after so many half seconds; False if the start has come to its end before."""
    start = asyncio.create_task(run.starting())
    await asyncio.sleep(number / 2)
    return await is_cut_off(start)


async def is_cut_off(start: asyncio.Task[str]) -> bool:
    begun = now()
    start.cancel()
    await asyncio.wait([start])
    assert now() - begun <= PROMPT
    return start.cancelled()


IN_ONE_GO = [is_cut_off_at_suspension, is_cut_off_after_turns]
WITH_WAITS = [is_cut_off_at_suspension, is_cut_off_after_half_seconds]


async def stop(run: Run) -> None:
    """Stop as the hub does; with the API up, the pod is gone then."""
    await run.stop()


async def check(
    cluster: Any,
    cut_off: Callable[[int, Run], Coroutine[Any, Any, bool]],
    *,
    before: Callable[[], object] = lambda: None,
    trouble: Callable[[], AbstractContextManager[object]] = nullcontext,
    stop: Callable[[Run], Coroutine[Any, Any, None]] = stop,
) -> int:
    """Cut starts off at each point in turn; return how many points there were.

    before: what is there when the start begins. trouble: what the API server does until the stop is over.
    """
    number = 0
    while True:
        before()
        run = Run()
        with trouble():
            was_cut_off = await cut_off(number, run)
            home = {uid_of(claim) for claim in claims(cluster)}
            await stop(run)
        await asyncio.sleep(LATE)
        assert pods(cluster) == [], f"left behind by a start cancelled at point {number}"
        again = run.next()
        await again.start()
        assert [uid_of(pod) for pod in pods(cluster)] == [again.spawner.pod_id]
        await again.stop()
        assert home <= {uid_of(claim) for claim in claims(cluster)}
        if not was_cut_off:
            return number
        number += 1


@cell("start cancelled (DELETE, start_timeout)", UP)
@pytest.mark.parametrize("cut_off", IN_ONE_GO)
async def test_start_cancelled__api_up(cluster, cut_off):
    assert 3 <= await check(cluster, cut_off) < TURNS


@cell("start cancelled (DELETE, start_timeout)", UP)
@pytest.mark.parametrize("cut_off", WITH_WAITS)
async def test_start_cancelled_that_takes_its_time__api_up(cluster, cut_off):
    takes(cluster, schedule=0.4, pull=1, start=0.4, stop=0.4)
    assert 3 <= await check(cluster, cut_off) < TURNS


@pytest.mark.slow
@cell("start cancelled (DELETE, start_timeout)", UP)
@pytest.mark.parametrize("cut_off", IN_ONE_GO)
async def test_start_cancelled_of_a_new_user__api_up(cluster, cut_off):
    """Where the claim is not there yet, and the views were never filled: a hub's first start."""

    async def cut_off_the_first(number, run):
        await restart_process()
        for claim in claims(cluster):
            cluster.database.remove(CLAIMS, key_of(claim))
        if cut_off is is_cut_off_at_suspension:
            return await cut_off(number, run)
        # Such a start has more turns; of its first list, each third is enough.
        return await cut_off(3 * number, run, most=300)

    assert 5 <= await check(cluster, cut_off_the_first) < 100


@pytest.mark.slow
@cell("start cancelled (DELETE, start_timeout)", UP)
@pytest.mark.parametrize(
    ("cut_off", "seconds"),
    [*((cut_off, 0) for cut_off in IN_ONE_GO), *((cut_off, 2) for cut_off in WITH_WAITS)],
)
async def test_start_cancelled_while_an_older_pod_makes_room__api_up(cluster, cut_off, seconds):
    """The older pod is this server's too: the user wants it to be stopped."""
    takes(cluster, stop=seconds)
    assert await check(cluster, cut_off, before=lambda: plant_pod(cluster)) >= 3


@cell("start cancelled (DELETE, start_timeout)", UP)
async def test_start_cancelled_by_a_real_hub__api_up(hub, cluster, looptime):
    """A DELETE of a pending server: answered, stopped, forgotten; and the next start is a start."""
    takes(cluster, pull=1000)
    async with hub(hub={"tornado_settings": {"slow_spawn_timeout": 0}}) as hub:
        assert await hub.start_server("ada") == 202
        await eventually(lambda: pods(cluster))
        begun = float(looptime)

        assert await hub.stop_server("ada") == 204
        assert looptime - begun < 2
        assert pods(cluster) == []
        assert hub.spawner("ada") is None or not hub.spawner("ada").active

        takes(cluster, pull=0)
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert (len(pods(cluster)), len(claims(cluster))) == (1, 1)


@pytest.mark.slow
@cell("start cancelled (DELETE, start_timeout)", SLOW)
@pytest.mark.parametrize("cut_off", WITH_WAITS)
@pytest.mark.parametrize("effect", [Slow(seconds=2), too_many_requests(2)], ids=["slow", "429"])
@pytest.mark.parametrize("verb", ["create", "delete"])
async def test_start_cancelled__api_busy(cluster, cut_off, effect, verb):
    takes(cluster, stop=1)
    await check(
        cluster,
        cut_off,
        before=lambda: plant_pod(cluster),
        trouble=lambda: struck(cluster, effect, verb, count=2),
    )


@pytest.mark.slow
@cell("start cancelled (DELETE, start_timeout)", AWAY)
@pytest.mark.parametrize("cut_off", IN_ONE_GO)
async def test_start_cancelled__api_away_afterwards(cluster, cut_off):
    """The hub forgets the server within the time of a stop; what was created goes when the API is back."""
    await (first := Run()).start()
    await first.stop()

    async def stop(run):
        await cluster.go_away()
        begun = now()
        await run.stop()
        assert now() - begun <= 60
        await cluster.come_back()

    await check(cluster, cut_off, stop=stop)


@cell("start cancelled (DELETE, start_timeout)", AWAY)
@pytest.mark.parametrize("is_known", [True, False], ids=["view was fresh", "view was never filled"])
async def test_start_cancelled__api_away(cluster, is_known):
    if is_known:
        await Run("bob").start()
    await cluster.go_away()
    run = Run()
    assert await is_cut_off_after_half_seconds(20, run)
    begun = now()
    await run.stop()
    assert now() - begun <= 40

    await cluster.come_back()
    await asyncio.sleep(LATE)
    await run.next().start()
    assert len(pods(cluster)) == 1 + is_known


@pytest.mark.slow
@cell("start cancelled (DELETE, start_timeout)", LOST)
@pytest.mark.parametrize("cut_off", [*IN_ONE_GO, is_cut_off_after_half_seconds])
async def test_start_cancelled__reply_lost_after_commit(cluster, cut_off):
    await check(cluster, cut_off, trouble=lambda: struck(cluster, ReplyLost(), "create", count=1))


@cell("start cancelled (DELETE, start_timeout)", LOST)
@pytest.mark.parametrize("cut_off", WITH_WAITS)
@pytest.mark.parametrize("seconds", [1, 5, 59])
async def test_start_cancelled__commit_after_disconnect(cluster, cut_off, seconds):
    """The API server carries out what it has begun, for up to a minute."""
    effect = CommitAfterDisconnect(seconds=seconds)
    await check(cluster, cut_off, trouble=lambda: struck(cluster, effect, "create", count=1))


class LateToCancel(KubeSpawner):
    """As on a hub that gets no processor: its cancelled start ends after the second that the hub waits for it."""

    async def start(self):
        try:
            return await super().start()
        except asyncio.CancelledError:
            await asyncio.sleep(3)
            raise


async def test_a_cancelled_start_that_ends_too_late_for_the_hub_is_stopped(hub, cluster):
    """The hub answers 500, does not stop the server, and shows it as ready."""
    async with hub(spawner_class=LateToCancel, mem_guarantee="4T", hub=NO_WAIT) as hub:
        await hub.start_server("ada")
        await eventually(lambda: pods(cluster))

        assert await hub.stop_server("ada") == 500
        await eventually(lambda: hub.spawner("ada").ready)

        await hub.wait_stopped("ada")
        assert pods(cluster) == []


async def test_a_running_server_whose_route_is_cancelled_too_late_for_the_hub_is_stopped(
    hub, cluster, monkeypatch
):
    """The hub would show it as ready for ever: it does not listen for its end."""

    async def late_to_cancel(*_args):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(3)
            raise

    async with hub(hub=NO_WAIT) as hub:
        monkeypatch.setattr(hub.app.proxy, "add_user", late_to_cancel)
        await hub.start_server("ada")
        await eventually(lambda: isinstance(hub.spawner("ada")._life, Running))

        assert await hub.stop_server("ada") == 500
        await eventually(lambda: hub.spawner("ada").ready)

        await hub.wait_stopped("ada")
        assert pods(cluster) == []


@pytest.mark.parametrize("spawner_class, answer", [(KubeSpawner, 204), (LateToCancel, 500)])
async def test_a_server_that_is_started_again_after_a_cancellation_runs_on(
    hub, cluster, spawner_class, answer
):
    async with hub(spawner_class=spawner_class, hub=NO_WAIT) as hub:
        takes(cluster, start=2)
        await hub.start_server("ada")
        await eventually(lambda: pods(cluster))
        assert await hub.stop_server("ada") == answer
        await hub.wait_stopped("ada")

        await hub.start_server("ada")
        await hub.wait_ready("ada")
        await asyncio.sleep(60)
        assert hub.spawner("ada").ready
        assert len(pods(cluster)) == 1
