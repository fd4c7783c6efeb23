"""Starts wait in a queue: order, limits, what users read, and places that are given up."""

import asyncio
from contextlib import suppress

import pytest
from prometheus_client import REGISTRY

from devkit.testing.eventually import eventually
from devkit.testing.runs import failed_start, pods, takes
from k8s_hub import KubeSpawner
from k8s_hub.spawner.run_log import warn_once
from k8s_hub.spawner.start_queue import StartLimits, StartQueue, place_in_words, queue_for

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

NO_WAIT = {"tornado_settings": {"slow_spawn_timeout": 0}, "concurrent_spawn_limit": 0}
"""The hub answers at once, and has no limit of its own."""

MANY = tuple(f"user{number:02}" for number in range(16))


def queue_of(*, concurrent_starts=0, start_rate=0.0):
    return StartQueue(StartLimits(concurrent_starts=concurrent_starts, start_rate=start_rate))


def queued():
    return REGISTRY.get_sample_value("k8s_hub_starts_queued")


class Starts:
    """Starts in a queue, each of which takes the same time once it begins."""

    def __init__(self, queue, *, seconds=10.0):
        self.queue = queue
        self.seconds = seconds
        #: Who began, and when, in this order.
        self.begun = []
        self.under_way = 0
        self.most_under_way = 0
        self.places = {}

    def request(self, *usernames):
        return [asyncio.create_task(self._start(username)) for username in usernames]

    async def _start(self, username):
        place = self.queue.join(username, asyncio.current_task())
        self.places[username] = place
        await place.may_begin
        self.begun.append((username, asyncio.get_running_loop().time()))
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1

    @property
    def order(self):
        return "".join(username for username, _ in self.begun)


async def test_starts_begin_in_the_order_of_their_requests_and_no_more_at_once_than_allowed():
    starts = Starts(queue_of(concurrent_starts=3))
    await asyncio.gather(*starts.request(*"abcdefgh"))

    assert starts.order == "abcdefgh"
    assert starts.most_under_way == 3


async def test_the_servers_of_one_user_take_turns_with_those_of_others():
    starts = Starts(queue_of(concurrent_starts=1))
    await asyncio.gather(*starts.request(*"xaaaabc"))
    assert starts.order == "xabcaaa"

    starts = Starts(queue_of(concurrent_starts=1))
    early = starts.request(*"aaaaaa")
    await asyncio.sleep(25)  # the third of a's starts has begun
    await asyncio.gather(*early, *starts.request(*"bb"))
    assert starts.order == "aaababaa"


async def test_starts_begin_at_the_allowed_rate():
    """After a pause two begin together, and not thirty."""
    starts = Starts(queue_of(start_rate=2), seconds=0)
    for _ in range(2):
        await asyncio.gather(*starts.request(*"abcd"))
        first, *_ = (begun := [moment for _, moment in starts.begun[-4:]])
        assert [moment - first for moment in begun] == pytest.approx([0, 0, 0.5, 1], abs=0.01)
        await asyncio.sleep(60)


@pytest.mark.parametrize("which", ["a start under way", "a waiting start"])
async def test_a_cancelled_start_gives_up_its_place(which):
    starts = Starts(queue_of(concurrent_starts=1))
    tasks = dict(zip("abc", starts.request(*"abc"), strict=True))
    await asyncio.sleep(1)
    cancelled = "a" if which == "a start under way" else "b"
    tasks[cancelled].cancel()
    with suppress(asyncio.CancelledError):
        await tasks[cancelled]
    await asyncio.sleep(0)

    last = starts.places["c"]
    assert starts.queue.outlook(last)[0] == 0
    await asyncio.gather(*(task for name, task in tasks.items() if name != cancelled))
    assert starts.order == ("abc" if cancelled == "a" else "ac")


async def test_a_place_is_given_up_with_its_start_though_that_did_not_wait_for_it():
    """A progress page follows the place."""
    queue = queue_of(concurrent_starts=1)
    first, second = asyncio.create_task(asyncio.sleep(100)), asyncio.create_task(asyncio.sleep(0))
    queue.join("a", first)
    place = queue.join("b", second)
    async with asyncio.timeout(60):
        assert len([message async for message in place.messages()]) == 1
    assert place.may_begin.cancelled()
    first.cancel()


async def test_a_failed_start_gives_up_its_place():
    queue = queue_of(concurrent_starts=1)

    async def fail():
        queue.join("a", asyncio.current_task())
        raise RuntimeError

    failing = asyncio.create_task(fail())
    await asyncio.wait([failing])
    assert isinstance(failing.exception(), RuntimeError)
    starts = Starts(queue)
    await asyncio.wait_for(asyncio.gather(*starts.request("b")), 20)
    assert starts.order == "b"


async def test_the_user_reads_the_place_and_the_time_that_earlier_starts_suggest():
    starts = Starts(queue_of(concurrent_starts=1), seconds=19.5)
    tasks = starts.request(*"abcd")
    await asyncio.sleep(0)
    told = [
        (message, int(asyncio.get_running_loop().time())) async for message in starts.places["d"].messages()
    ]

    assert told == [
        ("Your server is 3rd in the queue.", 0),
        ("Your server is 2nd in the queue. It starts in about 40 s.", 20),
        ("Your server is next in the queue. It starts in about 20 s.", 40),
    ]
    await asyncio.gather(*tasks)


async def test_an_overdue_end_makes_the_estimate_longer():
    starts = Starts(queue_of(concurrent_starts=1), seconds=10)
    tasks = starts.request("a")
    await asyncio.sleep(0)
    starts.seconds = 1000
    tasks += starts.request(*"bc")
    await asyncio.sleep(100)
    assert starts.queue.outlook(starts.places["c"]) == (0, 50)
    for task in tasks:
        task.cancel()


async def test_a_rate_alone_tells_the_time_from_the_first_moment():
    starts = Starts(queue_of(start_rate=0.5), seconds=0)
    tasks = starts.request(*"abcde")
    await asyncio.sleep(0)
    assert starts.queue.outlook(starts.places["e"]) == (2, 6.0)
    for task in tasks:
        task.cancel()


async def test_the_metric_counts_the_waiting_starts_of_all_limits():
    """Groups of users may have limits of their own."""
    queues = [queue_for(StartLimits(concurrent_starts=limit, start_rate=0)) for limit in (1, 2)]
    slow, fast = (Starts(queue, seconds=seconds) for queue, seconds in zip(queues, (60, 10), strict=True))
    requests = slow.request(*"abcd"), fast.request(*"abcd")
    await asyncio.sleep(0)
    assert queued() == 3 + 2
    await asyncio.gather(*requests[1])
    assert queued() == 3
    await asyncio.gather(*requests[0])
    assert queued() == 0


@pytest.mark.parametrize(
    ("ahead", "seconds", "words"),
    [
        (0, None, "Your server is next in the queue."),
        (1, 3, "Your server is 2nd in the queue. It starts in about 5 s."),
        (2, 0, "Your server is 3rd in the queue. It starts in about 5 s."),
        (10, 41, "Your server is 11th in the queue. It starts in about 45 s."),
        (20, 61, "Your server is 21st in the queue. It starts in about 1 min 10 s."),
        (111, 601, "Your server is 112th in the queue. It starts in about 11 min."),
    ],
)
def test_places_in_words(ahead, seconds, words):
    assert place_in_words(ahead, seconds) == words


# --- In a hub ---


def starting(cluster):
    """Return the users of pods that do not run yet."""
    return {
        pod["metadata"]["annotations"]["hub.jupyter.org/username"]
        for pod in pods(cluster)
        if pod["status"].get("phase", "Pending") == "Pending"
    }


async def request_in_turn(hub, first, *others):
    """Request servers of a hub that lets one start at a time; return once all others wait."""
    for user in (first, *others):
        await hub.start_server(user)
    await eventually(lambda: queued() == len(others))


@pytest.mark.slow
async def test_a_class_arrives_and_no_start_is_refused_or_loses_time_in_the_queue(hub, cluster):
    """Each start may take 15 s, and most wait longer than that for their turn."""
    takes(cluster, pull=10)
    most = 0
    async with hub(hub=NO_WAIT, users=MANY, concurrent_starts=4, start_timeout=15) as hub:
        statuses = await asyncio.gather(*(hub.start_server(user) for user in MANY))
        assert set(statuses) == {202}
        assert queued() == len(MANY) - 4

        async def watch():
            nonlocal most
            while True:
                most = max(most, len(starting(cluster)))
                await asyncio.sleep(0.5)

        watching = asyncio.create_task(watch())
        for user in MANY:
            await hub.wait_ready(user, seconds=120)
        watching.cancel()
        assert len(pods(cluster)) == len(MANY)
    assert most == 4
    assert queued() == 0


async def test_the_progress_page_tells_the_place_and_then_the_start(hub, cluster):
    takes(cluster, pull=30)
    async with hub(hub=NO_WAIT, users=("ada", "bob", "eve"), concurrent_starts=1) as hub:
        await request_in_turn(hub, "ada", "bob", "eve")
        messages = [item["message"] async for item in hub.spawner("eve").progress() if item["message"]]
        await hub.wait_ready("eve", seconds=120)

    assert messages[0] == "Your server is 2nd in the queue."
    assert messages[1].startswith("Your server is next in the queue. It starts in about ")
    assert messages[-1] == "Your server is running. Waiting for its first response."


async def test_a_cancelled_place_closes_up_and_leaves_nothing(hub, cluster):
    takes(cluster, pull=30)
    async with hub(hub=NO_WAIT, users=("ada", "bob", "eve"), concurrent_starts=1) as hub:
        await request_in_turn(hub, "ada", "bob", "eve")

        assert await hub.stop_server("bob") == 204
        assert queued() == 1
        await hub.wait_ready("ada", seconds=60)
        await hub.wait_ready("eve", seconds=60)
        assert len(pods(cluster)) == 2
        # The next request of the same user is a start like any other.
        await hub.start_server("bob")
        await hub.wait_ready("bob", seconds=60)


async def test_a_hook_runs_in_its_turn_and_its_failure_lets_the_next_start_begin(hub, cluster):
    called = []

    async def hook(spawner):
        called.append((spawner.user.name, len(pods(cluster))))
        if spawner.user.name == "bob":
            raise RuntimeError

    takes(cluster, pull=30)
    async with hub(hub=NO_WAIT, users=("ada", "bob", "eve"), concurrent_starts=1, pre_spawn_hook=hook) as hub:
        await hub.start_server("ada")
        await hub.start_server("bob")
        await hub.start_server("eve")
        await hub.wait_ready("eve", seconds=120)

    assert called == [("ada", 0), ("bob", 1), ("eve", 1)]


async def test_a_refused_start_gives_its_place_to_the_next(hub, cluster):
    async with hub(hub=NO_WAIT, concurrent_starts=1, start_timeout=20, node_selector={"a": "b"}) as hub:
        await failed_start(hub, "ada")
        await failed_start(hub, "bob")
    assert queued() == 0


@pytest.mark.parametrize(("hub_limit", "is_told"), [(100, True), (0, False)])
async def test_a_limit_of_the_hub_that_defeats_the_queue_is_logged(hub, cluster, caplog, hub_limit, is_told):
    warn_once.cache_clear()
    async with hub(hub={"concurrent_spawn_limit": hub_limit}, concurrent_starts=5) as hub:
        await hub.start_server("ada")
    fault = (
        "KubeSpawner.concurrent_starts = 5 has a queue for starts, but JupyterHub refuses those beyond "
        "JupyterHub.concurrent_spawn_limit = 100: set it to 0"
    )
    assert (fault in caplog.messages) == is_told


class Forgetful(KubeSpawner):
    """Drops what it has to await."""

    def run_pre_spawn_hook(self):
        super().run_pre_spawn_hook()


async def test_without_a_wait_a_subclass_s_hook_runs_as_without_a_queue(hub, cluster):
    called = []
    async with hub(
        spawner_class=Forgetful,
        concurrent_starts=5,
        pre_spawn_hook=lambda spawner: called.append(spawner.user.name),
    ) as hub:
        await hub.start_server("ada")
    assert called == ["ada"]


class LateToCancel(KubeSpawner):
    """As on a hub that gets no processor: the wait ends after the second that the hub waits for it."""

    def run_pre_spawn_hook(self):
        wait = super().run_pre_spawn_hook()

        async def late():
            try:
                await wait
            except asyncio.CancelledError:
                await asyncio.sleep(3)
                raise

        return wait and late()


async def test_a_cancelled_place_that_ends_too_late_for_the_hub_is_no_server(hub, cluster):
    """The hub answers 500, does not stop the server, and shows it as ready."""
    takes(cluster, pull=1000)
    async with hub(spawner_class=LateToCancel, hub=NO_WAIT, concurrent_starts=1) as hub:
        await hub.start_server("ada")
        await hub.start_server("bob")
        await eventually(lambda: queued() == 1)
        assert await hub.stop_server("bob") == 500
        await eventually(lambda: hub.spawner("bob").ready)
        await hub.wait_stopped("bob")
