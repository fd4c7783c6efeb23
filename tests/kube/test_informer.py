"""A view that stays fresh by itself, whatever the server does; in virtual time, against the mini cluster."""

import asyncio
import math
from functools import partial

import pytest

from devkit.minicluster import resources
from devkit.minicluster.faults import (
    CutWatch,
    EventLost,
    FaultRule,
    MuteWatch,
    Refuse,
    RequestLost,
    Slow,
    WatchGone,
    refuse,
    too_many_requests,
)
from devkit.minicluster.statuses import status_body
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.core.errors import Forbidden, Unavailable
from k8s_hub.kube.core.resources import PODS
from k8s_hub.kube.informer import Informer
from k8s_hub.objects.keys import uid_of, version_of
from tests.kube.odd import NAMED, ODD, a_list, an_event, at, text
from tests.kube.samples import NAMESPACE, is_missing, is_running, key, plant, pod, project, remove, set_phase

pytestmark = pytest.mark.looptime

FORBIDDEN = status_body(403, "Forbidden", 'pods is forbidden: User "hub" cannot list', {})
EXPIRED = status_body(410, "Expired", "too old resource version: 1 (2)", {})


def now():
    return asyncio.get_running_loop().time()


async def begun(informer, soon):
    await informer.start()
    await informer.wait_synced(deadline=soon())
    await until(lambda: informer.is_watching)
    return informer


async def until(condition):
    """For what nobody is woken for; virtual time."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def shows(informer, soon, name="ada", seconds=10):
    """Return how long it took until the view shows the pod."""
    begin = now()
    await informer.wait_for(key(name), lambda kept: kept is not None, deadline=soon(seconds))
    return now() - begin


# --- Reading and waiting ---


async def test_it_shows_what_is_there_and_what_happens(informer, api, cluster, soon):
    await api.create(PODS, NAMESPACE, pod("ada", owner="a"))
    await begun(informer, soon)
    assert informer.view.get(key())["owner"] == "a"

    set_phase(cluster, "ada", "Running")
    assert await informer.wait_for(key(), is_running, deadline=soon()) == informer.view.get(key())
    assert [kept["name"] for kept in informer.view.find("a")] == ["ada"]

    remove(cluster, "ada")
    assert await informer.wait_for(key(), is_missing, deadline=soon()) is None


async def test_a_long_list_is_read_in_pages(informer, cluster, counted, soon):
    for number in range(250):
        plant(cluster, pod(f"p{number}"))

    await begun(informer, soon)

    assert len(informer.view) == 250
    assert counted("list") == 3


async def test_before_the_first_list_nothing_is_known_and_nothing_is_said(informer, soon):
    assert not informer.is_synced
    assert informer.staleness() == math.inf
    with pytest.raises(TimeoutError):
        await informer.wait_for(key(), is_missing, deadline=soon(1))


async def test_a_complete_list_is_shown_before_the_watch_is_open(informer, cluster, soon):
    plant(cluster, pod())
    cluster.faults.add(FaultRule(effect=Slow(seconds=5), verb="watch"))
    await informer.start()
    waiter = asyncio.create_task(informer.wait_for(key(), lambda kept: kept is not None, deadline=soon(1)))

    await informer.wait_synced(deadline=soon(1))

    assert await waiter == informer.view.get(key())
    assert not informer.is_watching


async def test_waiters_time_out_at_their_deadline(informer, soon):
    await begun(informer, soon)
    begin = now()

    with pytest.raises(TimeoutError):
        await informer.wait_for(key(), is_running, deadline=soon(5))
    assert now() - begin == 5


async def test_cancelled_waiters_leave_nothing_behind(informer, soon):
    await begun(informer, soon)

    waiters = [
        asyncio.create_task(informer.wait_for(key(), is_running, deadline=soon())),
        asyncio.create_task(informer.wait_gone(key(), "x", deadline=soon())),
        asyncio.create_task(informer.wait_synced(deadline=soon())),
    ]
    await asyncio.sleep(0.1)
    for waiter in waiters:
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)

    assert len(informer._notifier) == 0


async def test_only_the_waiters_of_a_key_are_asked(informer, api, soon):
    await begun(informer, soon)
    asked = 0

    def count(_kept):
        nonlocal asked
        asked += 1
        return False

    waiter = asyncio.create_task(informer.wait_for(key("bob"), count, deadline=soon(2)))
    await asyncio.sleep(0.1)
    for number in range(20):
        await api.create(PODS, NAMESPACE, pod(f"p{number}"))
    await asyncio.wait([waiter])

    assert asked == 1
    assert isinstance(waiter.exception(), TimeoutError)


async def test_a_closed_informer_keeps_nobody_waiting(informer, soon):
    await begun(informer, soon)
    waiter = asyncio.create_task(informer.wait_for(key(), is_running, deadline=soon()))
    await asyncio.sleep(0.1)

    await informer.close()

    with pytest.raises(Unavailable, match="closed"):
        await waiter
    assert not informer.is_watching


async def test_closing_does_not_swallow_the_cancellation_of_its_caller(informer, soon):
    await begun(informer, soon)
    closing = asyncio.create_task(informer.close())
    await asyncio.sleep(0)  # it waits for the end of the informer's task

    closing.cancel()
    await asyncio.wait([closing])

    assert closing.cancelled()
    assert not informer.is_watching


async def test_starting_and_closing_twice_is_once(informer, counted, soon):
    await informer.start()
    await begun(informer, soon)
    assert counted("list") == 1

    await informer.close()
    await informer.close()


# --- Consistent waiting around a create ---


async def test_since_keeps_not_heard_of_yet_from_being_taken_for_gone(informer, api, cluster, soon):
    """The watch is away while the pod is created: the old view shows none."""
    await begun(informer, soon)
    cluster.faults.add(FaultRule(effect=Refuse(code=503, body=""), verb="watch"))
    cluster.faults.add(FaultRule(effect=CutWatch(), verb="watch", count=1))
    await api.create(PODS, NAMESPACE, pod("bob"))  # something for the cut to cut
    await until(lambda: not informer.is_watching)
    created = await api.create(PODS, NAMESPACE, pod())
    wait = asyncio.create_task(
        informer.wait_for(key(), lambda _: True, deadline=soon(60), since=version_of(created))
    )
    await asyncio.sleep(10)
    assert not wait.done()

    cluster.faults.clear()

    assert (await wait)["uid"] == uid_of(created)


async def test_since_tells_a_pod_that_came_and_went_during_a_relist(informer, api, cluster, soon):
    await begun(informer, soon)
    await cluster.go_away()
    created = plant(cluster, pod())
    remove(cluster, "ada")
    cluster.compact()
    wait = asyncio.create_task(
        informer.wait_for(key(), is_missing, deadline=soon(60), since=version_of(created))
    )
    await asyncio.sleep(20)
    assert not wait.done()

    await cluster.come_back()

    assert await wait is None


async def test_wait_gone_after_a_watched_deletion_asks_nobody(informer, api, cluster, counted, soon):
    created = await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    wait = asyncio.create_task(informer.wait_gone(key(), uid_of(created), deadline=soon()))
    await asyncio.sleep(1)
    assert not wait.done()

    remove(cluster, "ada")
    await wait

    assert counted("get") == 0


async def test_wait_gone_is_not_fooled_by_a_view_that_has_not_heard_of_the_pod(informer, api, cluster, soon):
    await begun(informer, soon)
    await cluster.go_away()
    created = plant(cluster, pod())
    wait = asyncio.create_task(informer.wait_gone(key(), uid_of(created), deadline=soon(60)))
    await asyncio.sleep(5)
    await cluster.come_back()
    await asyncio.sleep(10)
    assert not wait.done()

    remove(cluster, "ada")
    await wait


async def test_wait_gone_confirms_an_absence_it_did_not_watch(informer, counted, soon):
    await begun(informer, soon)

    await informer.wait_gone(key(), "long gone", deadline=soon())

    assert counted("get") == 1


async def test_wait_gone_takes_a_successor_of_that_name_for_what_it_is(informer, api, cluster, soon):
    first = await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    wait = asyncio.create_task(informer.wait_gone(key(), uid_of(first), deadline=soon()))
    await asyncio.sleep(1)

    remove(cluster, "ada")
    await api.create(PODS, NAMESPACE, pod())

    await wait


async def test_wait_gone_times_out(informer, api, soon):
    created = await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)

    with pytest.raises(TimeoutError):
        await informer.wait_gone(key(), uid_of(created), deadline=soon(5))


# --- A watch that is open and hears nothing ---


@pytest.fixture
def mute(cluster):
    """The open watch hears nothing from now on; the next one does."""
    return lambda: cluster.faults.add(FaultRule(effect=MuteWatch(), verb="watch", count=1))


async def test_a_waiter_notices_a_watch_that_hears_nothing(
    informer, api, cluster, mute, counted, soon, caplog
):
    await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    begin = now()
    wait = asyncio.create_task(informer.wait_for(key(), is_running, deadline=soon(60)))
    await asyncio.sleep(0.1)
    mute()
    set_phase(cluster, "ada", "Running")

    await wait

    assert now() - begin < 10
    assert counted("list") == 1
    assert "opening the watch again: it has not shown a change of" in caplog.text


async def test_a_waiter_for_what_the_watch_did_not_hear_of(informer, api, mute, soon):
    await begun(informer, soon)
    mute()
    await api.create(PODS, NAMESPACE, pod())

    assert await shows(informer, soon, seconds=60) < 10


async def test_a_waiter_for_an_end_that_the_watch_did_not_hear_of(informer, api, cluster, mute, soon):
    created = await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    begin = now()
    wait = asyncio.create_task(informer.wait_gone(key(), uid_of(created), deadline=soon(60)))
    await asyncio.sleep(0.1)
    mute()
    remove(cluster, "ada")

    await wait

    assert now() - begin < 10


@pytest.fixture
def lose(cluster):
    """The open watch loses its next event; it hears all others."""
    return lambda: cluster.faults.add(FaultRule(effect=EventLost(), verb="watch", count=1))


async def test_a_waiter_for_an_end_whose_event_got_lost(informer, api, cluster, lose, counted, soon):
    """The watch resumes behind the lost event: only a list repairs that."""
    created = await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    wait = asyncio.create_task(informer.wait_gone(key(), uid_of(created), deadline=soon(60)))
    await asyncio.sleep(0.1)
    lose()
    remove(cluster, "ada")
    await api.create(PODS, NAMESPACE, pod("bob"))
    begin = now()

    await wait

    assert now() - begin < 30
    assert counted("list") == 2


async def test_it_forgets_what_it_opened_the_watch_for_once_the_object_is_gone(
    informer, api, cluster, lose, soon
):
    await begun(informer, soon)
    for name in ("ada", "bob", "carl"):
        created = await api.create(PODS, NAMESPACE, pod(name))
        await shows(informer, soon, name)
        lose()
        remove(cluster, name)
        await api.create(PODS, NAMESPACE, pod(f"after-{name}"))
        await informer.wait_gone(key(name), uid_of(created), deadline=soon(60))
        await until(lambda: informer.is_watching)

    assert set(informer._reopened_for) == {key("carl")}


@pytest.mark.parametrize("order", [["carl", "ada"], ["ada", "carl"]], ids=["earlier", "later"])
async def test_another_waiter_does_not_delay_it(informer, api, cluster, lose, counted, soon, order):
    """The watch has missed nothing of the other waiter's object."""
    created = await api.create(PODS, NAMESPACE, pod())
    await api.create(PODS, NAMESPACE, pod("carl"))
    await begun(informer, soon)
    waits = {
        "ada": informer.wait_gone(key(), uid_of(created), deadline=soon(200)),
        "carl": informer.wait_for(key("carl"), is_running, deadline=soon(200)),
    }
    tasks = {}
    for name in order:
        tasks[name] = asyncio.create_task(waits[name])
        await asyncio.sleep(0.01)
    lose()
    remove(cluster, "ada")
    await api.create(PODS, NAMESPACE, pod("bob"))
    begin = now()

    await tasks["ada"]

    assert now() - begin < 15
    assert counted("list") == 2
    assert counted("watch") == 2  # the watch has resumed once, and follows the list
    set_phase(cluster, "carl", "Running")
    await tasks["carl"]


async def test_a_waiter_for_a_change_whose_event_got_lost(
    informer, api, cluster, lose, counted, soon, caplog
):
    """A later event shows that the view is past the change, which only a list repairs."""
    await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    wait = asyncio.create_task(informer.wait_for(key(), is_running, deadline=soon(900)))
    await asyncio.sleep(0.1)
    lose()
    set_phase(cluster, "ada", "Running")
    await api.create(PODS, NAMESPACE, pod("bob"))
    begin = now()

    await wait

    assert now() - begin < 10
    assert counted("list") == 2
    assert "opening the watch again: it has lost a change of hub/ada" in caplog.text


async def test_a_waiter_for_an_object_whose_first_event_got_lost(informer, api, lose, counted, soon):
    await begun(informer, soon)
    lose()
    await api.create(PODS, NAMESPACE, pod())
    await api.create(PODS, NAMESPACE, pod("bob"))

    assert await shows(informer, soon) < 10
    assert counted("list") == 2


async def test_a_waiter_for_a_lost_change_in_a_busy_namespace(informer, api, cluster, lose, soon):
    """The watch is never silent."""
    await api.create(PODS, NAMESPACE, pod())
    await api.create(PODS, NAMESPACE, pod("bob"))
    await begun(informer, soon)

    async def stay_busy():
        for number in range(1000):
            set_phase(cluster, "bob", str(number))
            await asyncio.sleep(1)

    wait = asyncio.create_task(informer.wait_for(key(), is_running, deadline=soon(900)))
    await asyncio.sleep(0.1)
    lose()
    set_phase(cluster, "ada", "Running")
    begin = now()
    busy = asyncio.create_task(stay_busy())

    await wait

    assert now() - begin < 10
    busy.cancel()


async def test_of_many_waiters_each_has_its_turn(informer, api, cluster, lose, soon):
    """A bookmark wakes all at once: their checks come at once, too."""
    names = [f"p{number}" for number in range(50)]
    for name in names:
        await api.create(PODS, NAMESPACE, pod(name))
    await begun(informer, soon)
    waits = [
        asyncio.create_task(informer.wait_for(key(name), is_running, deadline=soon(900))) for name in names
    ]
    await asyncio.sleep(0.1)
    lose()
    set_phase(cluster, "p49", "Running")
    await api.create(PODS, NAMESPACE, pod("bob"))
    begin = now()

    await waits[49]

    assert now() - begin < 60
    for wait in waits:
        wait.cancel()


async def test_a_lost_change_of_what_is_not_kept_is_none(informer, api, cluster, lose, counted, soon):
    created = await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    lose()
    cluster.database.update(
        resources.PODS, key(), lambda obj: {**obj, "status": {**obj["status"], "hostIP": "::1"}}
    )
    await api.create(PODS, NAMESPACE, pod("bob"))
    assert version_of(await api.get(PODS, key())) != version_of(created)

    with pytest.raises(TimeoutError):
        await informer.wait_for(key(), is_running, deadline=soon(60))

    assert counted("list") == counted("watch") == 1


async def test_an_object_that_is_not_selected_is_no_change_that_got_lost(api, cluster, counted, soon):
    informer = Informer(api, PODS, NAMESPACE, label_selector="component=server", project=project)
    await begun(informer, soon)
    await api.create(PODS, NAMESPACE, pod("ada", component="other"))
    await api.create(PODS, NAMESPACE, pod("bob", component="server"))
    await shows(informer, soon, "bob")

    with pytest.raises(TimeoutError):
        await informer.wait_for(key(), lambda kept: kept is not None, deadline=soon(60))

    assert counted("watch") == 1
    await informer.close()


async def test_the_first_event_of_a_selected_object_got_lost(api, lose, soon):
    informer = Informer(api, PODS, NAMESPACE, label_selector="component=server", project=project)
    await begun(informer, soon)
    lose()
    await api.create(PODS, NAMESPACE, pod("ada", component="server"))
    await api.create(PODS, NAMESPACE, pod("bob", component="server"))

    assert await shows(informer, soon) < 10
    await informer.close()


async def test_an_object_that_a_list_shows_otherwise_costs_one_list(informer, api, cluster, counted, soon):
    """Something between the API server and the hub changes its replies."""
    await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    odd = await api.get(PODS, key())
    odd = {**odd, "status": {"phase": "Running"}}
    cluster.faults.add(FaultRule(effect=Refuse(code=200, body=odd), verb="get"))

    with pytest.raises(TimeoutError):
        await informer.wait_for(key(), is_running, deadline=soon(900))

    assert counted("list") == 2


class Polled:
    """Somebody whose polls have objects confirmed."""

    def object_changed(self):
        pass


def listen(informer, *names):
    """Listen to these pods, as long as the caller keeps what this returns."""
    listening = [Polled() for _ in names]
    for name, listener in zip(names, listening, strict=True):
        informer.listen(key(name), listener)
    return listening


@pytest.mark.parametrize(
    ("change", "phase"),
    [(remove, None), (partial(set_phase, phase="Failed"), "Failed")],
    ids=["removed", "failed"],
)
async def test_a_change_that_got_lost_is_found_when_its_turn_comes(
    informer, api, cluster, lose, counted, soon, change, phase
):
    await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    lose()
    change(cluster, "ada")
    await api.create(PODS, NAMESPACE, pod("bob"))
    await shows(informer, soon, "bob")
    assert informer.view.get(key())["phase"] == "Pending"
    listening = listen(informer, "ada", "bob")

    for _ in listening:
        await informer.confirm_next()
        await asyncio.sleep(5)

    assert (informer.view.get(key()) or {}).get("phase") == phase
    assert counted("list") == 2


async def test_objects_that_exist_cost_one_request_each_second(informer, api, counted, soon):
    await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    listening = listen(informer, "ada")

    for _ in range(30):
        await informer.confirm_next()
        await asyncio.sleep(0.1)

    assert counted("get") == 3
    assert counted("list") == 1
    assert counted("watch") == 1
    del listening


async def test_objects_that_are_not_there_take_nobodys_turn(informer, api, counted, soon):
    """A hub keeps the spawners of servers that were stopped."""
    await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    listening = listen(informer, "ada", *(f"stopped{number}" for number in range(20)))

    for _ in range(3):
        await informer.confirm_next()
        await asyncio.sleep(1)

    assert counted("get") == 3
    del listening


async def test_a_listener_hears_of_its_latest_object_only(informer, api, cluster, soon):
    """A server that was renamed has another pod in its next run."""
    heard = []

    class Hearing:
        def object_changed(self):
            heard.append(now())

    for name in ("old", "new"):
        await api.create(PODS, NAMESPACE, pod(name))
    await begun(informer, soon)
    renamed, successor = Hearing(), Polled()
    informer.listen(key("old"), renamed)
    informer.listen(key("new"), renamed)

    for name in ("old", "new"):
        set_phase(cluster, name, "Running")
        await informer.wait_for(key(name), is_running, deadline=soon())
    assert len(heard) == 1

    informer.listen(key("new"), successor)
    informer.listen(key("old"), renamed)
    set_phase(cluster, "old", "Failed")
    await informer.wait_for(key("old"), lambda kept: kept["phase"] == "Failed", deadline=soon())
    assert len(heard) == 2
    assert list(informer._listeners.values()) == [successor, renamed]


async def test_nothing_is_asked_about_objects_without_a_listener(informer, api, counted, soon):
    await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)

    await informer.confirm_next()

    assert counted("get") == 0


async def test_a_quiet_watch_stays_open(informer, api, counted, soon):
    """Nothing has changed: a waiter asks each 5 seconds, and believes the watch."""
    await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)

    with pytest.raises(TimeoutError):
        await informer.wait_for(key(), is_running, deadline=soon(50))

    assert counted("watch") == 1
    assert 8 <= counted("get") <= 10


async def test_a_change_that_the_watch_is_about_to_hear_is_not_missed(informer, api, cluster, counted, soon):
    """The reply to the question is faster than the watch, which hears the change a moment later."""
    await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    await asyncio.sleep(10)
    newer = await api.get(PODS, key())
    newer = {**newer, "metadata": {**newer["metadata"], "resourceVersion": str(cluster.database.version + 1)}}
    cluster.faults.add(FaultRule(effect=Refuse(code=200, body=newer), verb="get", count=1))
    check = asyncio.create_task(informer.reopen_if_behind(key()))
    await asyncio.sleep(0.5)
    set_phase(cluster, "ada", "Running")

    assert not await check
    assert counted("watch") == 1


async def test_many_waiters_of_a_quiet_watch_ask_once_a_second(informer, api, counted, soon):
    for number in range(50):
        await api.create(PODS, NAMESPACE, pod(f"p{number}"))
    await begun(informer, soon)

    waits = [informer.wait_for(key(f"p{number}"), is_running, deadline=soon(30)) for number in range(50)]
    assert {type(end) for end in await asyncio.gather(*waits, return_exceptions=True)} == {TimeoutError}

    assert counted("get") <= 30


async def test_without_an_answer_the_watch_is_believed(informer, api, cluster, mute, counted, soon):
    await api.create(PODS, NAMESPACE, pod())
    await begun(informer, soon)
    cluster.faults.add(FaultRule(effect=RequestLost(), verb="get"))

    with pytest.raises(TimeoutError):
        await informer.wait_for(key(), is_running, deadline=soon(30))

    assert counted("watch") == 1


# --- What the server does ---


async def test_away_for_90_seconds_fresh_within_5_after_and_nothing_listed(
    informer, api, cluster, counted, soon
):
    await begun(informer, soon)
    await cluster.go_away()
    await asyncio.sleep(90)
    assert informer.is_synced
    assert not informer.is_watching
    assert informer.staleness() > 89
    plant(cluster, pod())

    await cluster.come_back()

    assert await shows(informer, soon) < 5
    assert counted("list") == 1


async def test_away_and_history_lost_costs_one_list(informer, api, cluster, counted, soon):
    await api.create(PODS, NAMESPACE, pod("bob"))
    await begun(informer, soon)
    await cluster.go_away()
    remove(cluster, "bob")
    plant(cluster, pod())
    cluster.compact()
    await asyncio.sleep(90)
    waiter = asyncio.create_task(informer.wait_for(key("bob"), is_missing, deadline=soon()))

    await cluster.come_back()

    assert await shows(informer, soon) < 5
    await waiter
    assert counted("list") == 2
    await asyncio.sleep(600)
    assert counted("list") == 2


async def test_away_from_the_beginning(informer, cluster, soon):
    await cluster.go_away()
    await informer.start()
    await asyncio.sleep(90)
    assert isinstance(informer.failure, Unavailable)

    await cluster.come_back()
    begin = now()
    await informer.wait_synced(deadline=soon())

    assert now() - begin < 5
    await asyncio.sleep(1)
    assert informer.failure is None


async def test_ten_quiet_minutes_list_nothing_and_stay_young(informer, counted, soon):
    await begun(informer, soon)
    ages = []
    for _ in range(600):
        await asyncio.sleep(1)
        ages.append(informer.staleness())

    assert max(ages) < 62
    assert counted("list") == 1
    assert counted("watch") <= 3  # each is ended by the server after 5 to 10 minutes


async def test_a_watch_cut_in_mid_line_is_resumed_and_loses_nothing(informer, api, cluster, counted, soon):
    await begun(informer, soon)
    cluster.faults.add(FaultRule(effect=CutWatch(), verb="watch", count=3))

    await api.create(PODS, NAMESPACE, pod())

    assert await shows(informer, soon) < 5
    assert counted("list") == 1


async def test_410_in_the_stream_lists_once_at_once(informer, api, cluster, counted, soon):
    await begun(informer, soon)
    await asyncio.sleep(10)
    cluster.faults.add(FaultRule(effect=WatchGone(), verb="watch", count=1))

    await api.create(PODS, NAMESPACE, pod())

    assert await shows(informer, soon) < 0.1
    assert counted("list") == 2


@pytest.mark.slow
async def test_410_after_a_few_seconds_each_time_is_told_and_no_storm_of_lists(
    informer, cluster, counted, soon, caplog
):
    """Each watch lasts long enough to look sound."""
    await begun(informer, soon)
    begin = now()
    while now() < begin + 600:
        await until(lambda: informer.is_watching)
        await asyncio.sleep(6)
        gone = cluster.faults.add(FaultRule(effect=WatchGone(), verb="watch", count=1))
        await until(partial(cluster.faults.hits, gone))

    assert counted("list") < 50
    assert "the watch keeps failing, retrying" in caplog.text
    await asyncio.sleep(100)
    assert informer.is_watching


async def test_410_as_the_reply_lists_once(informer, api, cluster, counted, soon):
    await begun(informer, soon)
    cluster.faults.add(FaultRule(effect=CutWatch(), verb="watch", count=1))
    cluster.faults.add(FaultRule(effect=refuse(EXPIRED), verb="watch", count=1))

    await api.create(PODS, NAMESPACE, pod())

    assert await shows(informer, soon) < 5
    assert counted("list") == 2


async def test_410_without_end_is_no_storm_of_lists(informer, cluster, counted, soon):
    rule = cluster.faults.add(FaultRule(effect=refuse(EXPIRED), verb="watch"))
    await informer.start()
    await asyncio.sleep(600)
    assert counted("list") < 70  # every 15 s on average

    cluster.faults.remove(rule)
    await asyncio.sleep(31)
    assert informer.is_watching


async def test_a_continue_token_that_expires_starts_the_list_over(informer, cluster, soon):
    for number in range(250):
        plant(cluster, pod(f"p{number}"))
    expired_at_second_page = FaultRule(effect=refuse(EXPIRED), verb="list", count=1)
    cluster.faults.add(FaultRule(effect=Slow(seconds=0), verb="list", count=1))
    cluster.faults.add(expired_at_second_page)

    await begun(informer, soon)

    assert cluster.faults.hits(expired_at_second_page) == 1
    assert len(informer.view) == 250


async def test_a_page_that_fails_is_read_again_without_the_ones_before(informer, cluster, counted, soon):
    for number in range(250):
        plant(cluster, pod(f"p{number}"))
    cluster.faults.add(FaultRule(effect=Slow(seconds=0), verb="list", count=2))
    cluster.faults.add(FaultRule(effect=too_many_requests(), verb="list", count=1))

    await begun(informer, soon)

    assert len(informer.view) == 250
    assert counted("list") == 4


async def test_retry_after_is_honoured(informer, cluster, soon):
    cluster.faults.add(FaultRule(effect=too_many_requests(20), verb="list", count=1))
    begin = now()
    await informer.start()
    await informer.wait_synced(deadline=soon(60))

    assert 20 <= now() - begin < 21


async def test_a_server_that_starts_over_with_lower_versions_is_listed_again(informer, cluster, soon):
    """A watch from the future says nothing but bookmarks of the past, for ever."""
    await begun(informer, soon)
    cluster.database.version = 1000
    for history in cluster.database._histories.values():
        history._changes.clear()
        history.oldest = 0
    plant(cluster, pod())

    assert await shows(informer, soon, seconds=200) < 200


async def test_a_role_that_forbids_the_list_is_told_at_once_and_healed_later(
    informer, cluster, counted, soon
):
    rule = cluster.faults.add(FaultRule(effect=refuse(FORBIDDEN), verb="list"))
    await informer.start()
    begin = now()
    with pytest.raises(Forbidden, match="cannot list"):
        await informer.wait_synced(deadline=soon())
    assert now() - begin < 0.1
    await asyncio.sleep(600)
    assert counted("list") < 70

    cluster.faults.remove(rule)
    await asyncio.sleep(31)
    assert informer.is_synced


async def test_a_watch_that_the_server_ends_at_once_is_not_hammered(api, counted, monkeypatch, soon):
    monkeypatch.setattr("k8s_hub.kube.informer.WATCH_TIMEOUT", (1, 1))
    informer = await begun(Informer(api, PODS, NAMESPACE, project=project), soon)
    await asyncio.sleep(300)

    assert 70 < counted("watch") < 130  # 1 s of watch and 2 s of pause on average
    assert counted("list") == 1
    await informer.close()


async def test_a_bug_does_not_end_the_view(connection, cluster, soon, caplog):
    class Broken(KubeApi):
        is_broken = True

        async def list_page(self, *args, **keywords):
            if self.is_broken:
                raise AttributeError("'str' object has no attribute 'get'")
            return await super().list_page(*args, **keywords)

    api = Broken(connection)
    await api.create(PODS, NAMESPACE, pod())
    informer = Informer(api, PODS, NAMESPACE, project=project)
    await informer.start()
    await asyncio.sleep(60)
    assert not informer.is_synced
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]

    api.is_broken = False
    await asyncio.sleep(31)
    assert informer.view.get(key()) is not None
    await informer.close()


async def test_an_outage_is_logged_once_and_so_is_its_end(informer, cluster, soon, caplog):
    caplog.set_level("INFO", "k8s_hub.kube")
    await begun(informer, soon)
    await cluster.go_away()
    await asyncio.sleep(300)
    await cluster.come_back()
    await asyncio.sleep(10)

    assert [record.getMessage().split(":")[1].strip() for record in caplog.records] == [
        "the watch keeps failing, retrying",
        "the watch is open again",
    ]


# --- Odd objects ---


async def watching(api, soon):
    return await begun(Informer(api, PODS, NAMESPACE, project=project_status), soon)


def project_status(raw):
    """Expect what Kubernetes promises."""
    return project(raw) | {"phase": raw["status"].get("phase")}


async def test_odd_objects_in_a_list_keep_no_view_from_syncing(played, soon, caplog, decoder):
    api = await played(a_list(text("ada"), *ODD.values(), text("bob")))

    informer = await watching(api, soon)

    assert set(informer.view) == {key("ada"), key("bob")}
    assert caplog.text.count("skipped hub/odd: ") == 1
    assert caplog.text.count("skipped an object: ") == 1
    await informer.close()


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED"])
async def test_odd_objects_in_a_watch_do_not_stop_what_comes_after_them(played, soon, caplog, kind, decoder):
    odd = [an_event(kind, at(10 + number, obj)) for number, obj in enumerate(ODD.values())]
    api = await played(a_list(text("ada")), lines=[*odd, an_event("ADDED", text("bob", "99"))])

    informer = await watching(api, soon)
    await informer.wait_for(key("bob"), is_running, deadline=soon())

    assert set(informer.view) == {key("ada"), key("bob")}
    assert informer.is_watching
    assert len(caplog.records) == 2
    await informer.close()


async def test_an_odd_object_that_was_sound_is_shown_as_it_was_until_it_is_gone(played, soon, decoder):
    lines = [
        an_event("MODIFIED", at(11, NAMED["nested deep"])),
        an_event("ADDED", text("bob", "12")),
        an_event("DELETED", at(13, NAMED["nested deep"])),
    ]
    api = await played(a_list(text("odd")), lines=lines)
    informer = Informer(api, PODS, NAMESPACE, project=project_status)
    shown = asyncio.create_task(informer.wait_for(key("odd"), is_running, deadline=soon()))
    await informer.start()
    await shown
    await informer.wait_for(key("odd"), is_missing, deadline=soon())

    assert is_running(informer.view.get(key("bob")))
    await informer.close()


async def test_a_line_that_is_no_event_leads_to_a_list_and_not_to_an_endless_loop(played, soon):
    api = await played(a_list(), a_list(text("ada")), lines=[b"<html>"])
    informer = Informer(api, PODS, NAMESPACE, project=project_status)
    await informer.start()

    await informer.wait_for(key(), is_running, deadline=soon())
    await informer.close()


async def test_many_lines_at_once_let_others_work(informer, cluster, soon):
    """Ten thousand events wait in the socket; a tick that wants to run every turn is not kept waiting."""
    await begun(informer, soon)
    for number in range(200):
        plant(cluster, pod(f"p{number}"))
    for phase in range(20):
        for number in range(200):
            set_phase(cluster, f"p{number}", str(phase))
    turns = 0
    while informer.view.get(key("p199")) is None or informer.view.get(key("p199"))["phase"] != "19":
        turns += 1
        await asyncio.sleep(0)

    assert turns > 10
