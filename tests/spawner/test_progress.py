import asyncio

import pytest

from devkit.testing.bare import bare_spawner
from k8s_hub.diagnosis.diagnosis import Diagnosis, Stage
from k8s_hub.spawner.progress import PodEvent, Progress
from tests.diagnosis.samples import event

SCHEDULING = Diagnosis.waiting(Stage.SCHEDULING, "Your server is waiting for a machine.")
STARTING = Diagnosis.waiting(Stage.STARTING, "Your server is starting.")


async def heard(progress):
    return [diagnosis.sentence async for diagnosis in progress.listen()]


async def test_every_listener_hears_everything_also_the_one_who_comes_late():
    progress = Progress()
    early = asyncio.create_task(heard(progress))
    await asyncio.sleep(0)
    progress.emit(SCHEDULING)
    await asyncio.sleep(0)
    late = asyncio.create_task(heard(progress))
    progress.emit(STARTING)
    progress.end()

    assert await early == await late == [SCHEDULING.sentence, STARTING.sentence]


async def test_the_same_sentence_is_told_once():
    progress = Progress()
    assert progress.emit(SCHEDULING) is not None
    assert progress.emit(SCHEDULING) is None
    progress.end()

    assert await heard(progress) == [SCHEDULING.sentence]


async def test_an_event_is_heard_once_in_its_place_and_by_no_one_who_comes_after_the_end():
    progress = Progress()
    early = progress.listen()
    first, second = event("Scheduled"), event("Pulling")
    progress.emit(SCHEDULING)
    progress.add_events([first])
    progress.emit(STARTING)
    progress.add_events([first | {"count": 2}, second])
    got = [await anext(early)]
    progress.end()

    got += [told async for told in early]
    assert got == [SCHEDULING, PodEvent(event=first), STARTING, PodEvent(event=second)]
    assert await heard(progress) == [SCHEDULING.sentence, STARTING.sentence]


async def test_an_event_alone_wakes_who_listens():
    progress = Progress()
    tab = progress.listen()
    waiting = asyncio.ensure_future(anext(tab))
    await asyncio.sleep(0)
    progress.add_events([event("Scheduled", metadata={"name": "a", "managedFields": ["x"]})])
    told = await waiting
    assert told.event["metadata"] == {"name": "a"}
    progress.end()


async def test_the_bar_never_goes_back():
    progress = Progress()
    progress.emit(STARTING)
    progress.emit(SCHEDULING)

    assert progress.latest.percent == STARTING.percent


async def test_a_tab_that_listens_before_the_next_start_does_not_hear_the_last_one():
    """The hub clears the state before a start; its own preparations may then take long."""
    spawner = bare_spawner()
    spawner._run.progress.emit(SCHEDULING)
    spawner._run.progress.end()
    spawner.clear_state()
    tab = asyncio.create_task(heard(spawner._run.progress))
    await asyncio.sleep(0)
    spawner.clear_state()
    spawner._run.progress.emit(STARTING)
    spawner._run.progress.end()

    assert await tab == [STARTING.sentence]


async def told_for(seconds, **options):
    """Return what a tab reads, and after how many seconds, of a start that waits for a machine for so long."""
    now, begin = asyncio.get_running_loop().time, asyncio.get_running_loop().time()
    spawner = bare_spawner(**options)

    async def read():
        return [
            (round(now() - begin), event["progress"], event["message"]) async for event in spawner.progress()
        ]

    tab = asyncio.create_task(read())
    spawner._run.progress.emit(SCHEDULING)
    await asyncio.sleep(seconds)
    spawner._run.progress.end()
    return await tab


@pytest.mark.looptime
async def test_a_slow_start_tells_how_long_it_takes_and_what_it_waits_for():
    first, *told = await told_for(1300)

    assert first == (0, 20, "Your server is waiting for a machine.")
    assert told == [
        (
            60 * minutes,
            20,
            f"Your server is taking longer than usual to start ({minutes} min so far). Your server is waiting for a machine.",
        )
        for minutes in (1, 2, 3, 5, 10, 15, 20)
    ]


@pytest.mark.looptime
async def test_news_of_a_slow_start_do_not_put_off_when_it_is_spoken_of_again():
    """The clock is that of the start."""
    begin = asyncio.get_running_loop().time()
    spawner = bare_spawner(slow_spawn_message="{seconds}")

    async def read():
        return [event["message"] async for event in spawner.progress()]

    tab = asyncio.create_task(read())
    spawner._run.progress.emit(SCHEDULING)
    await asyncio.sleep(119)
    spawner._run.progress.emit(STARTING)
    await asyncio.sleep(130)
    spawner._run.progress.end()

    assert await tab == [SCHEDULING.sentence, "60", STARTING.sentence, "120", "180"]
    assert asyncio.get_running_loop().time() - begin < 250


@pytest.mark.looptime
async def test_a_threshold_alone_says_when_a_start_is_slow():
    told = await told_for(400, slow_spawn_message="{waited}", slow_spawn_message_threshold=150)

    assert [message for _, _, message in told[1:]] == ["2 min 30 s", "3 min", "5 min"]


@pytest.mark.looptime
async def test_the_message_of_a_slow_start_is_the_administrator_s():
    told = await told_for(
        25,
        slow_spawn_message="{seconds} s",
        slow_spawn_message_threshold=10,
        slow_spawn_message_frequency=10,
    )

    assert told[1:] == [(10, 20, "10 s"), (20, 20, "20 s")]


@pytest.mark.looptime
async def test_a_threshold_of_zero_means_no_such_message():
    assert len(await told_for(1000, slow_spawn_message_threshold=0)) == 1


@pytest.mark.looptime
async def test_a_tab_that_is_opened_late_hears_at_once_how_long_it_has_taken():
    spawner = bare_spawner()
    spawner._run.progress.emit(SCHEDULING)
    await asyncio.sleep(90)
    tab = spawner.progress()
    await anext(tab)

    assert "(1 min 30 s so far)" in (await anext(tab))["message"]
    assert "(2 min so far)" in (await anext(tab))["message"]
    await tab.aclose()
