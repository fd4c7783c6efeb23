"""Asking again, in virtual time."""

import pytest

from k8s_hub.hub.errors import Forbidden, NotFound, Refused, Unavailable
from k8s_hub.hub.retries import RetryPolicy, retrying

pytestmark = pytest.mark.looptime

POLICY = RetryPolicy(name="test", initial=1, factor=2, ceiling=8, deadline=60)


class Answers:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    async def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return self.calls


async def test_the_hub_is_asked_until_it_answers():
    assert await retrying(POLICY, Answers(3, Unavailable("503"))) == 4


@pytest.mark.parametrize("kind", [Forbidden, NotFound, Refused])
async def test_an_answer_is_not_asked_again(kind):
    answers = Answers(1, kind("no"))
    with pytest.raises(kind):
        await retrying(POLICY, answers)
    assert answers.calls == 1


async def test_the_deadline_ends_it(looptime):
    """No delay is begun that would pass it."""
    answers = Answers(1000, Unavailable("503"))
    with pytest.raises(Unavailable):
        await retrying(POLICY, answers)
    assert 60 - 8 <= looptime <= 60
    assert answers.calls <= 20


async def test_retry_after_is_kept_to(looptime):
    assert await retrying(POLICY, Answers(1, Unavailable("429", retry_after=30))) == 2
    assert looptime == pytest.approx(30, abs=0.01)


async def test_a_retry_after_beyond_the_deadline_is_not_waited_for(looptime):
    with pytest.raises(Unavailable):
        await retrying(POLICY, Answers(1, Unavailable("429", retry_after=90)))
    assert looptime == 0


async def test_delays_grow_to_the_ceiling_and_are_told():
    delays = []
    await retrying(POLICY, Answers(6, Unavailable("503")), on_wait=lambda _error, delay: delays.append(delay))
    for delay, most in zip(delays, [1, 2, 4, 8, 8, 8], strict=True):
        assert most / 2 <= delay <= most
