"""How many at once: less of it while the hub is slow, more again while it is fast."""

import asyncio

import pytest

from k8s_hub.culler.throttling import ANSWERS, ANSWERS_AT_LEAST, Throttle, adapted, gather_throttled

SLOW, FAIR, FAST = [1.5] * ANSWERS, [0.5] * ANSWERS, [0.01] * ANSWERS


@pytest.mark.parametrize(
    ("slots", "answers", "seconds", "expected"),
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
def test_a_step(slots, answers, seconds, expected):
    assert adapted(slots, answers, seconds, 50) == expected


async def answers(throttle, seconds, number=ANSWERS, *, code=200, method="GET"):
    await asyncio.sleep(seconds)  # the answer is to a request that began after the last change
    for _ in range(number):
        throttle.on_reply(code, seconds, method)


@pytest.mark.looptime
async def test_a_slow_hub_halves_it_once_for_the_requests_of_one_pace():
    throttle = Throttle(40)
    async with throttle.slot():
        await answers(throttle, 2.0)
        assert throttle.slots == 20
        throttle.on_reply(200, 1.9, "GET")  # asked before the change, as many more like it
        await asyncio.sleep(1)
        for _ in range(ANSWERS):
            throttle.on_reply(200, 2.9, "GET")
        assert throttle.slots == 20
        await answers(throttle, 2.0)
        assert throttle.slots == 10


@pytest.mark.looptime
async def test_what_is_no_word_about_the_hubs_load_counts_nothing():
    """Stops take long by design; an error can come at once from a hub that is away."""
    throttle = Throttle(40)
    async with throttle.slot():
        await answers(throttle, 10.0, method="DELETE")
        await answers(throttle, 0.01, code=503)
        await answers(throttle, 0.01, code=0)
        assert throttle.slots == 40
        await answers(throttle, 60.0, code=0)  # no answer in time
        assert throttle.slots == 20


@pytest.mark.looptime
async def test_it_grows_by_one_in_each_minute_of_sweeping():
    throttle = Throttle(40)
    async with throttle.slot():
        await answers(throttle, 2.0)
        assert throttle.slots == 20
        await asyncio.sleep(50)
    await asyncio.sleep(3600)  # between sweeps
    async with throttle.slot():
        await answers(throttle, 0.1, ANSWERS)
        assert throttle.slots == 20
        await asyncio.sleep(10)
        throttle.on_reply(200, 0.1, "GET")
        assert throttle.slots == 21
        throttle.on_reply(200, 0.1, "GET")
        assert throttle.slots == 21
        for _ in range(30):
            await asyncio.sleep(60)
            throttle.on_reply(200, 0.1, "GET")
        assert throttle.slots == 40


@pytest.mark.looptime
async def test_places_that_are_taken_away_are_not_given_again():
    throttle, peaks = Throttle(8), []

    async def work(index):
        peaks.append(throttle.in_use)
        await asyncio.sleep(10)
        if index == 0:
            for _ in range(ANSWERS):
                throttle.on_reply(200, 2.0, "GET")

    await gather_throttled(range(40), work, throttle)
    assert (max(peaks[:8]), max(peaks[16:])) == (8, 4)
    assert throttle.in_use == 0


@pytest.mark.looptime
async def test_without_a_limit_a_slow_hub_makes_none():
    throttle = Throttle(0)
    async with throttle.slot():
        await answers(throttle, 2.0)
    assert await gather_throttled(range(1000), asyncio.sleep, Throttle(0)) == [None] * 1000
    assert throttle.slots == throttle.most


@pytest.mark.looptime
async def test_who_waits_and_is_cancelled_takes_no_place():
    throttle = Throttle(1)

    async def hold():
        async with throttle.slot():
            await asyncio.sleep(100)

    first, second = asyncio.create_task(hold()), asyncio.create_task(hold())
    await asyncio.sleep(1)
    second.cancel()
    await asyncio.sleep(1)
    first.cancel()
    await asyncio.wait([first, second])
    assert throttle.in_use == 0
    async with throttle.slot():
        assert throttle.in_use == 1


@pytest.mark.looptime
async def test_results_and_mistakes_stand_in_order():
    async def inverse(number):
        return 1 / number

    one, error, half = await gather_throttled([1, 0, 2], inverse, Throttle(2))
    assert (one, half) == (1, 0.5)
    assert isinstance(error, ZeroDivisionError)
    assert await gather_throttled([], inverse, Throttle(0)) == []


@pytest.mark.looptime
async def test_begins_are_spread_evenly(looptime):
    begun = []

    async def begin(_):
        begun.append(asyncio.get_running_loop().time())

    await gather_throttled(range(5), begin, Throttle(2), over=100)
    assert begun == pytest.approx([0, 20, 40, 60, 80], abs=0.1)


@pytest.mark.looptime
async def test_what_begins_apart_stays_apart(looptime):
    """Otherwise as many as there are places would end at once, again and again."""
    begun = []

    async def work(_number):
        begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(10)

    await gather_throttled(range(6), work, Throttle(3), apart=0.1)
    assert begun == pytest.approx([0, 0.1, 0.2, 10, 10.1, 10.2])


@pytest.mark.looptime
async def test_without_a_limit_nothing_waits(looptime):
    await gather_throttled(range(1000), lambda _number: asyncio.sleep(1), Throttle(0), apart=0.1)
    assert looptime == 1
