"""How many at once: less of it while the hub is slow, more again while it is fast."""

import asyncio

import pytest

from k8s_hub.culler.throttling import ANSWERS, ANSWERS_AT_LEAST, Pace, adapted, each

SLOW, FAIR, FAST = [1.5] * ANSWERS, [0.5] * ANSWERS, [0.01] * ANSWERS


@pytest.mark.parametrize(
    ("places", "answers", "seconds", "expected"),
    [
        (50, SLOW, 0, 25),
        (25, SLOW, 0, 12),
        (1, SLOW, 999, 1),
        (50, SLOW[: ANSWERS_AT_LEAST - 1], 0, 50),
        (25, FAIR, 999, 25),
        (25, FAST, 59, 25),
        (25, FAST, 60, 26),
        (50, FAST, 999, 50),  # never above the flag
        (25, [0.01] * 11 + [30.0] * 9, 60, 26),  # the median, not the mean
    ],
)
def test_a_step(places, answers, seconds, expected):
    assert adapted(places, answers, seconds, 50) == expected


async def answers(pace, seconds, number=ANSWERS, *, code=200, method="GET"):
    await asyncio.sleep(seconds)  # the answer is to a request that began after the last change
    for _ in range(number):
        pace.heard(code, seconds, method)


@pytest.mark.looptime
async def test_a_slow_hub_halves_it_once_for_the_requests_of_one_pace():
    pace = Pace(40)
    async with pace.place():
        await answers(pace, 2.0)
        assert pace.places == 20
        pace.heard(200, 1.9, "GET")  # asked before the change, as many more like it
        await asyncio.sleep(1)
        for _ in range(ANSWERS):
            pace.heard(200, 2.9, "GET")
        assert pace.places == 20
        await answers(pace, 2.0)
        assert pace.places == 10


@pytest.mark.looptime
async def test_what_is_no_word_about_the_hubs_load_counts_nothing():
    """Stops take long by design; an error can come at once from a hub that is away."""
    pace = Pace(40)
    async with pace.place():
        await answers(pace, 10.0, method="DELETE")
        await answers(pace, 0.01, code=503)
        await answers(pace, 0.01, code=0)
        assert pace.places == 40
        await answers(pace, 60.0, code=0)  # no answer in time
        assert pace.places == 20


@pytest.mark.looptime
async def test_it_grows_by_one_in_each_minute_of_sweeping():
    pace = Pace(40)
    async with pace.place():
        await answers(pace, 2.0)
        assert pace.places == 20
        await asyncio.sleep(50)
    await asyncio.sleep(3600)  # between sweeps
    async with pace.place():
        await answers(pace, 0.1, ANSWERS)
        assert pace.places == 20
        await asyncio.sleep(10)
        pace.heard(200, 0.1, "GET")
        assert pace.places == 21
        pace.heard(200, 0.1, "GET")
        assert pace.places == 21
        for _ in range(30):
            await asyncio.sleep(60)
            pace.heard(200, 0.1, "GET")
        assert pace.places == 40


@pytest.mark.looptime
async def test_places_that_are_taken_away_are_not_given_again():
    pace, peaks = Pace(8), []

    async def work(index):
        peaks.append(pace.in_use)
        await asyncio.sleep(10)
        if index == 0:
            for _ in range(ANSWERS):
                pace.heard(200, 2.0, "GET")

    await each(range(40), work, pace)
    assert (max(peaks[:8]), max(peaks[16:])) == (8, 4)
    assert pace.in_use == 0


@pytest.mark.looptime
async def test_without_a_limit_a_slow_hub_makes_none():
    pace = Pace(0)
    async with pace.place():
        await answers(pace, 2.0)
    assert await each(range(1000), asyncio.sleep, Pace(0)) == [None] * 1000
    assert pace.places == pace.most


@pytest.mark.looptime
async def test_who_waits_and_is_cancelled_takes_no_place():
    pace = Pace(1)

    async def hold():
        async with pace.place():
            await asyncio.sleep(100)

    first, second = asyncio.create_task(hold()), asyncio.create_task(hold())
    await asyncio.sleep(1)
    second.cancel()
    await asyncio.sleep(1)
    first.cancel()
    await asyncio.wait([first, second])
    assert pace.in_use == 0
    async with pace.place():
        assert pace.in_use == 1


@pytest.mark.looptime
async def test_results_and_mistakes_stand_in_order():
    async def inverse(number):
        return 1 / number

    one, error, half = await each([1, 0, 2], inverse, Pace(2))
    assert (one, half) == (1, 0.5)
    assert isinstance(error, ZeroDivisionError)
    assert await each([], inverse, Pace(0)) == []


@pytest.mark.looptime
async def test_begins_are_spread_evenly(looptime):
    begun = []

    async def begin(_):
        begun.append(asyncio.get_running_loop().time())

    await each(range(5), begin, Pace(2), over=100)
    assert begun == pytest.approx([0, 20, 40, 60, 80], abs=0.1)


@pytest.mark.looptime
async def test_what_begins_apart_stays_apart(looptime):
    """Otherwise as many as there are places would end at once, again and again."""
    begun = []

    async def work(_number):
        begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(10)

    await each(range(6), work, Pace(3), apart=0.1)
    assert begun == pytest.approx([0, 0.1, 0.2, 10, 10.1, 10.2])


@pytest.mark.looptime
async def test_without_a_limit_nothing_waits(looptime):
    await each(range(1000), lambda _number: asyncio.sleep(1), Pace(0), apart=0.1)
    assert looptime == 1
