import asyncio

from k8s_hub.diagnosis.diagnosis import Diagnosis, Stage
from k8s_hub.spawner.progress import Progress
from tests.spawner.bare import bare_spawner

SCHEDULING = Diagnosis.waiting(Stage.SCHEDULING, "Your server is waiting for a machine.")
STARTING = Diagnosis.waiting(Stage.STARTING, "Your server is starting.")


async def heard(progress):
    return [diagnosis.sentence async for diagnosis in progress.listen()]


async def test_every_listener_hears_everything_also_the_one_who_comes_late():
    progress = Progress()
    early = asyncio.create_task(heard(progress))
    await asyncio.sleep(0)
    progress.tell(SCHEDULING)
    await asyncio.sleep(0)
    late = asyncio.create_task(heard(progress))
    progress.tell(STARTING)
    progress.end()

    assert await early == await late == [SCHEDULING.sentence, STARTING.sentence]


async def test_the_same_sentence_is_told_once():
    progress = Progress()
    assert progress.tell(SCHEDULING) is not None
    assert progress.tell(SCHEDULING) is None
    progress.end()

    assert await heard(progress) == [SCHEDULING.sentence]


async def test_the_bar_never_goes_back():
    progress = Progress()
    progress.tell(STARTING)
    progress.tell(SCHEDULING)

    assert progress.latest.percent == STARTING.percent


async def test_a_tab_that_listens_before_the_next_start_does_not_hear_the_last_one():
    """The hub clears the state before a start; its own preparations may then take long."""
    spawner = bare_spawner()
    spawner._progress.tell(SCHEDULING)
    spawner._progress.end()
    spawner.clear_state()
    tab = asyncio.create_task(heard(spawner._progress))
    await asyncio.sleep(0)
    spawner.clear_state()
    spawner._progress.tell(STARTING)
    spawner._progress.end()

    assert await tab == [STARTING.sentence]
