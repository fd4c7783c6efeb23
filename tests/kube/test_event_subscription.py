"""Events of what starts, from one watch that is there only while something starts."""

import asyncio
import json

import pytest

from devkit.minicluster.faults import CutWatch, FaultRule, Refuse, Slow, WatchGone, refuse
from devkit.minicluster.resources import EVENTS
from devkit.minicluster.statuses import status_body
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.event_subscription import LINGER, MOST, EventWatch, Involved
from k8s_hub.objects.keys import Key
from tests.kube.odd import ODD, a_list, an_event, at, stored
from tests.kube.samples import NAMESPACE, key

pytestmark = pytest.mark.looptime

POD = Involved("Pod", key())
CLAIM = Involved("PersistentVolumeClaim", key("claim-ada"))


@pytest.fixture
async def watch(api):
    watch = EventWatch(api, NAMESPACE)
    yield watch
    await watch.close()


@pytest.fixture
def say(cluster):
    """Record an event, or say it again."""

    def say(reason, involved=POD, *, name="", uid="u1", count=1, at="2026-01-01T00:00:00Z"):
        stored = Key(NAMESPACE, name or f"{involved.key.name}.{reason}".lower())
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": stored.name, "namespace": NAMESPACE},
            "involvedObject": {
                "kind": involved.kind,
                "namespace": involved.key.namespace,
                "name": involved.key.name,
                "uid": uid,
            },
            "reason": reason,
            "count": count,
            "lastTimestamp": at,
        }
        if cluster.database.get(EVENTS, stored) is None:
            cluster.database.create(EVENTS, event)
        else:
            cluster.database.update(EVENTS, stored, lambda obj: {**obj, "count": count})

    return say


def reasons(events):
    return [event["reason"] for event in events]


async def until_heard(subscription, *wanted):
    """Return once the events are these; woken by each new one, within 10 s."""
    wakeup = asyncio.Event()
    with subscription.notifying(wakeup):
        async with asyncio.timeout(10):
            while reasons(subscription.events()) != list(wanted):
                await wakeup.wait()
                wakeup.clear()


async def test_what_is_said_from_now_on_about_what_is_subscribed_to(watch, say):
    say("Earlier")
    async with watch.subscribe(POD, CLAIM) as subscription:
        say("Scheduled")
        say("Unrelated", Involved("Pod", key("bob")))
        say("ProvisioningFailed", CLAIM)
        await asyncio.sleep(1)

        assert reasons(subscription.events()) == ["Scheduled", "ProvisioningFailed"]


class RecordingApi(KubeApi):
    """Remembers how much each list was asked for."""

    def __init__(self, connection):
        super().__init__(connection)
        self.limits = []

    async def list_page(self, resource, namespace, *, limit, **rest):
        self.limits.append(limit)
        return await super().list_page(resource, namespace, limit=limit, **rest)


async def test_the_past_is_never_listed(connection, say, counted):
    for number in range(200):
        say(f"Old{number}")
    api = RecordingApi(connection)
    watch = EventWatch(api, NAMESPACE)
    async with watch.subscribe(POD) as subscription:
        await asyncio.sleep(1)

        assert subscription.events() == ()
    await watch.close()
    assert (api.limits, counted("watch")) == ([1], 1)  # one event, to know what "now" is


async def test_an_event_that_is_repeated_is_one_event_and_the_latest(watch, say):
    async with watch.subscribe(POD) as subscription:
        say("BackOff")
        say("Pulling")
        say("BackOff", count=2)
        await asyncio.sleep(1)

        assert [(event["reason"], event["count"]) for event in subscription.events()] == [
            ("Pulling", 1),
            ("BackOff", 2),
        ]


async def test_the_latest_are_kept_of_too_many(watch, say):
    async with watch.subscribe(POD) as subscription:
        for number in range(MOST + 10):
            say(f"Event{number}")
        await asyncio.sleep(1)

        assert reasons(subscription.events()) == [f"Event{number}" for number in range(10, MOST + 10)]


async def test_subscribers_are_woken(watch, say):
    async with watch.subscribe(POD) as subscription:
        assert subscription.events() == ()
        say("Scheduled")
        await until_heard(subscription, "Scheduled")


async def test_two_hundred_starts_share_one_watch(watch, say, counted):
    async def start(number):
        involved = Involved("Pod", key(f"p{number}"))
        async with watch.subscribe(involved) as subscription:
            say("Scheduled", involved)
            await asyncio.sleep(5)
            return reasons(subscription.events())

    assert await asyncio.gather(*map(start, range(200))) == [["Scheduled"]] * 200
    assert (counted("list"), counted("watch")) == (1, 1)


async def test_a_start_that_comes_while_the_watch_is_opened_again_shares_it(watch, say):
    async def another_start():
        async with watch.subscribe(CLAIM):
            await asyncio.sleep(1)
            return [task.get_name() for task in asyncio.all_tasks()].count(f"events in {NAMESPACE}")

    async with watch.subscribe(POD) as subscription:
        await asyncio.sleep(1)
        watch.reopen("it has not shown a change")
        assert await asyncio.create_task(another_start()) == 1
        say("Scheduled")
        await until_heard(subscription, "Scheduled")


async def test_nothing_is_kept_of_what_nobody_is_subscribed_to(watch, say):
    async with watch.subscribe(POD) as subscription:
        async with watch.subscribe(POD):
            say("Scheduled")
            await asyncio.sleep(1)
        assert reasons(subscription.events()) == ["Scheduled"]  # one is still subscribed

    assert watch._records == {}
    assert subscription.events() == ()


async def test_the_watch_lingers_for_the_next_start_and_then_ends(watch, say, counted):
    async with watch.subscribe(POD):
        pass
    await asyncio.sleep(LINGER - 1)
    async with watch.subscribe(POD) as subscription:
        await asyncio.sleep(LINGER * 2)
        say("Scheduled")
        await asyncio.sleep(1)
        assert reasons(subscription.events()) == ["Scheduled"]
    assert counted("watch") == 1

    await asyncio.sleep(LINGER + 1)
    assert watch._tasks == set()
    async with watch.subscribe(POD):
        pass
    assert counted("watch") == 2


async def test_a_role_that_forbids_events_is_one_log_line_and_no_failure(watch, cluster, caplog):
    cluster.faults.add(
        FaultRule(effect=refuse(status_body(403, "Forbidden", "no events", {})), resource="events")
    )
    loop = asyncio.get_running_loop()
    begin = loop.time()

    for _ in range(3):
        async with watch.subscribe(POD) as subscription:
            assert subscription.events() == ()

    assert loop.time() - begin < 0.5  # nobody waits for what will not come
    assert len(caplog.records) == 1


async def test_a_start_does_not_wait_long_for_events(watch, cluster):
    cluster.faults.add(FaultRule(effect=Slow(seconds=60), resource="events"))
    loop = asyncio.get_running_loop()
    begin = loop.time()

    async with watch.subscribe(POD):
        assert loop.time() - begin == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("effect", [CutWatch(), WatchGone()])
async def test_a_watch_that_breaks_is_opened_again(watch, cluster, say, effect):
    async with watch.subscribe(POD) as subscription:
        cluster.faults.add(FaultRule(effect=effect, verb="watch", count=1))
        say("Scheduled")
        await asyncio.sleep(5)
        say("Pulled")
        await asyncio.sleep(1)

        assert reasons(subscription.events())[-1] == "Pulled"


async def test_the_past_events_of_an_adopted_pod_are_backfilled(watch, say):
    say("Pulled", at="2026-01-01T00:00:02Z")
    say("Scheduled", at="2026-01-01T00:00:01Z")
    say("Unrelated", Involved("Pod", key("bob")))
    async with watch.subscribe(POD) as subscription:
        say("Started")
        await asyncio.sleep(1)
        await subscription.backfill()

        assert reasons(subscription.events()) == ["Scheduled", "Pulled", "Started"]


async def test_a_backfill_that_fails_is_no_failure(watch, cluster):
    async with watch.subscribe(POD) as subscription:
        await cluster.go_away()
        await subscription.backfill()

        assert subscription.events() == ()
    await cluster.come_back()


async def test_a_cancelled_start_leaves_nothing(watch):
    async def start():
        async with watch.subscribe(POD):
            await asyncio.sleep(3600)

    task = asyncio.create_task(start())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])

    assert watch._records == {}
    assert len(watch.notifier) == 0


# --- Trouble ---


class Crashing(KubeApi):
    """Fails so many times in a way that nobody foresaw."""

    def __init__(self, connection, times):
        super().__init__(connection)
        self.times = times

    async def list_page(self, *args, **keywords):
        if self.times:
            self.times -= 1
            raise AttributeError("'str' object has no attribute 'get'")
        return await super().list_page(*args, **keywords)


async def test_a_crash_does_not_end_the_watch_and_is_told_once(connection, say, caplog):
    watch = EventWatch(Crashing(connection, times=4), NAMESPACE)
    async with watch.subscribe(POD) as subscription:
        await asyncio.sleep(60)
        say("Scheduled")
        await asyncio.sleep(1)

        assert reasons(subscription.events()) == ["Scheduled"]
    await watch.close()
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]


async def test_a_watch_that_always_crashes_is_tried_ever_more_seldom(connection):
    api = Crashing(connection, times=1_000)
    watch = EventWatch(api, NAMESPACE)
    async with watch.subscribe(POD):
        await asyncio.sleep(600)
    await watch.close()

    assert 600 / 30 < 1_000 - api.times < 80


@pytest.mark.parametrize("code", [429, 503])
async def test_a_busy_server_is_given_the_time_it_asks_for(watch, cluster, counted, code):
    busy = Refuse(code=code, body=status_body(code, "Busy", "later", {}), retry_after_seconds=20)
    cluster.faults.add(FaultRule(effect=busy, resource="events", count=1))
    loop = asyncio.get_running_loop()
    begin = loop.time()

    async with watch.subscribe(POD):
        while not counted("watch"):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)

    assert loop.time() - begin == pytest.approx(20, abs=1)
    assert counted("list") == 2


def event(name, version, **parts):
    """One about the pod ada, as text."""
    return json.dumps(
        stored(
            name, version, **{"involvedObject": {"kind": "Pod", "namespace": "hub", "name": "ada"}} | parts
        )
    )


async def test_odd_events_hide_no_other(played, caplog, decoder):
    odd = [an_event("ADDED", at(10 + number, obj)) for number, obj in enumerate(ODD.values())]
    sound = (
        an_event("ADDED", event("e1", "10", reason="Pulled")),
        an_event("ADDED", event("e2", "99", reason="Started")),
    )
    watch = EventWatch(await played(a_list(), lines=[sound[0], *odd, sound[1]]), NAMESPACE)
    async with watch.subscribe(POD) as subscription:
        await until_heard(subscription, "Pulled", "Started")
    await watch.close()
    assert len(caplog.records) == 2  # one with a name, and those without


@pytest.mark.parametrize(
    "involved",
    [
        None,
        "ada",
        [],
        5,
        {},
        {"kind": {}},
        {"kind": [], "namespace": 1, "name": None},
        {"kind": "Pod", "name": {}},
    ],
)
async def test_an_event_about_nothing_is_about_nobody(played, involved):
    lines = [
        an_event("ADDED", event("e1", "11", reason="Odd", involvedObject=involved)),
        an_event("ADDED", event("e2", "12", reason="Pulled")),
    ]
    watch = EventWatch(await played(a_list(), lines=lines), NAMESPACE)
    async with watch.subscribe(POD) as subscription:
        await until_heard(subscription, "Pulled")
    await watch.close()


@pytest.mark.parametrize("time", [5, 10**30, [], {}, "", None])
async def test_events_with_odd_times_are_backfilled(played, time):
    past = [event(f"e{number}", "5", reason=f"Past{number}", lastTimestamp=time) for number in range(2)]
    watch = EventWatch(await played(a_list(*past, event("e3", "5", involvedObject="ada"))), NAMESPACE)
    async with watch.subscribe(POD) as subscription:
        await subscription.backfill()

        assert reasons(subscription.events()) == ["Past0", "Past1"]
    await watch.close()
