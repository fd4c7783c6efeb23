"""Which errors are asked again, when, and for how long; all in virtual time."""

import asyncio
import math
from dataclasses import replace

import pytest

from k8s_hub.retries import LONGEST_DELAY, RetryPolicy, parse_retry_after, retrying

STEADY = RetryPolicy(initial=1.0, factor=2.0, ceiling=4.0, deadline=30.0, jitter=0.0)


class Unavailable(Exception):
    """A border's word for "away, busy or slow"."""

    def __init__(self, message, retry_after=None):
        super().__init__(message)
        self.retry_after = retry_after


class Calls:
    """A call that answers with each of ``answers`` in turn, and notes when it was made."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.times = []

    async def __call__(self):
        self.times.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def pauses(self):
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]


@pytest.mark.looptime
async def test_unavailable_is_asked_again_with_growing_capped_pauses():
    calls = Calls(*[Unavailable("away")] * 5, "there")

    assert await retrying(STEADY, calls, on=Unavailable) == "there"
    assert calls.pauses == [1, 2, 4, 4, 4]


async def test_any_other_error_is_an_answer():
    calls = Calls(LookupError("x"), "never asked")

    with pytest.raises(LookupError):
        await retrying(STEADY, calls, on=Unavailable)
    assert len(calls.times) == 1


@pytest.mark.looptime
async def test_an_error_that_knows_no_retry_after_is_asked_again_by_the_policy():
    calls = Calls(OSError("away"), "there")

    await retrying(STEADY, calls, on=OSError)
    assert calls.pauses == [1]


@pytest.mark.looptime
async def test_a_longer_retry_after_is_kept_to_and_a_shorter_one_is_not():
    calls = Calls(Unavailable("busy", retry_after=7.0), Unavailable("busy", retry_after=0.5), "there")

    await retrying(STEADY, calls, on=Unavailable)

    assert calls.pauses == [7, 2]


@pytest.mark.looptime
async def test_an_endless_retry_after_is_kept_to_for_a_while():
    calls = Calls(Unavailable("busy", retry_after=3600.0), "there")

    assert await retrying(replace(STEADY, deadline=math.inf), calls, on=Unavailable) == "there"
    assert calls.pauses == [LONGEST_DELAY]


@pytest.mark.looptime
async def test_a_retry_after_beyond_the_deadline_is_not_waited_for():
    calls = Calls(Unavailable("busy", retry_after=90.0), "never asked")

    with pytest.raises(Unavailable):
        await retrying(STEADY, calls, on=Unavailable)
    assert len(calls.times) == 1


@pytest.mark.looptime
async def test_no_pause_is_begun_that_would_pass_the_deadline():
    calls = Calls(*[Unavailable(f"away {n}") for n in range(99)])
    start = asyncio.get_running_loop().time()

    with pytest.raises(Unavailable, match="away 8"):
        await retrying(STEADY, calls, on=Unavailable)
    assert calls.times[-1] - start == 27  # 1 + 2 + 4 + 4 + ...; the next would be at 31


@pytest.mark.looptime
async def test_the_callers_deadline_goes_before_the_policys():
    calls = Calls(*[Unavailable("away")] * 9)
    start = asyncio.get_running_loop().time()

    with pytest.raises(Unavailable):
        await retrying(STEADY, calls, on=Unavailable, deadline=start + 5)
    assert calls.times[-1] - start == 3


@pytest.mark.looptime
async def test_on_wait_hears_the_error_and_the_pause():
    heard = []
    busy = Unavailable("busy")

    await retrying(
        STEADY,
        Calls(busy, busy, "there"),
        on=Unavailable,
        on_wait=lambda error, delay: heard.append((error, delay)),
    )

    assert heard == [(busy, 1.0), (busy, 2.0)]


@pytest.mark.parametrize(
    ("jitter", "chance", "expected"), [(1.0, 0.0, 0.0), (1.0, 0.5, 2.0), (0.5, 0.0, 2.0), (0.0, 0.9, 4.0)]
)
def test_jitter_is_the_random_part_of_a_pause(jitter, chance, expected):
    policy = RetryPolicy(initial=4.0, jitter=jitter)

    assert policy.delay(0, lambda: chance) == expected


def test_weeks_of_failures_do_not_overflow():
    policy = RetryPolicy(ceiling=30.0, deadline=math.inf, jitter=0.0)

    assert policy.delay(1_000_000) == 30.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3),
        ("0", 0),
        ("0.5", 0.5),
        ("9" * 5_000, 3600),
        (None, None),
        ("", None),
        ("-1", None),
        ("inf", None),
        ("nan", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_a_number_of_seconds_within_reason(header, seconds):
    assert parse_retry_after(header) == seconds
