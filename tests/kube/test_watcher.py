"""What comes after an attempt: a pause, another attempt, and as little as possible in the log."""

import asyncio
from contextlib import asynccontextmanager
from itertools import count

import pytest

from k8s_hub.kube.core.errors import Forbidden, RelistRequired, Unavailable
from k8s_hub.kube.core.resources import EVENTS
from k8s_hub.kube.core.watch import Bookmark, ListPage, Malformed, decode
from k8s_hub.kube.watcher import (
    ERROR_BACKOFF,
    HEALTHY,
    MOST_ERRORS,
    MOST_MALFORMED,
    UNAVAILABLE_BACKOFF,
    CooperativeYield,
    Watcher,
)

pytestmark = pytest.mark.looptime


class Attempts:
    """Runs a watcher whose attempts end as they are told to; ``begun`` are the times at which they began.

    It is also the API that the watcher speaks to: a list that fails, or else a watch that lasts.
    """

    def __init__(self, end, *, lasts=0.0, says=(), goes_on=lambda _error: True):
        self.begun = []
        self.lists = 0
        self._says = says
        self.ends = []
        self._end = end
        self._lasts = lasts
        self._goes_on = goes_on
        self.watcher = Watcher(
            self,
            EVENTS,
            "hub",
            name="events in hub",
            on_event=lambda _event: None,
            on_open=lambda: None,
            on_end=self._on_end,
            rng=lambda: 1.0,
        )

    async def list_page(self, *_args, **_keywords):
        if not self._lasts:
            self._begin()
            raise self._end
        self.lists += 1
        return ListPage(items=(), resource_version="9", is_first=True, continue_token="")

    @asynccontextmanager
    async def watch(self, *_args, **_keywords):
        self._begin()
        yield self._stream()

    async def _stream(self):
        await asyncio.sleep(self._lasts)
        for event in self._says:
            yield event
        if self._end is not None:
            raise self._end

    def recover(self):
        """Let every watch last from now on."""
        self._end, self._lasts = None, HEALTHY

    def _begin(self):
        self.begun.append(asyncio.get_running_loop().time())

    def _on_end(self, error):
        self.ends.append(error)
        return self._goes_on(error)

    async def pauses(self, seconds):
        """Run for so long; return how long it was from the end of each attempt to the next."""
        task = asyncio.create_task(self.watcher.run())
        await asyncio.wait([task], timeout=seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        times = [0.0, *(round(later - before - self._lasts, 3) for before, later in self._pairs())]
        return times[1:]

    def _pairs(self):
        return zip(self.begun, self.begun[1:], strict=False)


async def test_a_server_that_is_away_is_asked_again_with_growing_pauses():
    assert (await Attempts(Unavailable("away")).pauses(30))[:6] == [
        0.5,
        1,
        2,
        4,
        4,
        UNAVAILABLE_BACKOFF.ceiling,
    ]


async def test_a_refusal_is_asked_again_more_seldom():
    assert (await Attempts(Forbidden("role")).pauses(200))[:8] == [
        0.5,
        1,
        2,
        4,
        8,
        16,
        30,
        ERROR_BACKOFF.ceiling,
    ]


async def test_a_version_that_is_too_old_is_no_reason_to_wait_once():
    assert (await Attempts(RelistRequired("old")).pauses(10))[:3] == [0, 1, 2]


async def test_a_pause_that_the_server_asks_for_with_a_410_is_waited():
    assert (await Attempts(RelistRequired("old", retry_after=7.0)).pauses(40))[:2] == [7, 7]


async def test_a_watch_that_lasted_is_opened_again_at_once():
    assert (await Attempts(None, lasts=HEALTHY).pauses(20))[:2] == [0, 0]


@pytest.mark.parametrize(
    ("asked_for", "pause"), [(7.0, 7), (0.1, 0.5), (3600.0, ERROR_BACKOFF.ceiling), (None, 0.5)]
)
@pytest.mark.parametrize("code", [429, 503])
async def test_what_the_server_asks_for_is_waited_within_reason(asked_for, pause, code):
    busy = Unavailable("busy", code=code, retry_after=asked_for)

    assert (await Attempts(busy).pauses(60))[0] == pause


async def test_a_crash_is_no_end_and_is_logged_once(caplog):
    attempts = Attempts(AttributeError("'str' object has no attribute 'get'"))

    pauses = await attempts.pauses(100)

    assert pauses[:4] == [0, 1, 2, 4]  # a list first: what could not be taken in may be in the past
    assert all(isinstance(error, RelistRequired) for error in attempts.ends)
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]
    assert "AttributeError" in caplog.text


async def test_a_crash_that_comes_again_after_a_healthy_time_is_logged_again(caplog):
    await Attempts(AttributeError("x"), lasts=HEALTHY).pauses(4 * HEALTHY)

    assert len([record for record in caplog.records if record.exc_info]) > 1


async def test_it_ends_when_it_is_told_to():
    attempts = Attempts(Forbidden("role"), goes_on=lambda _error: False)

    await attempts.pauses(100)

    assert len(attempts.begun) == 1


async def test_lasting_trouble_is_logged_once_and_so_is_its_end(caplog):
    caplog.set_level("INFO", "k8s_hub.kube")
    attempts = Attempts(Unavailable("away"))
    await attempts.pauses(100)
    attempts.recover()
    await attempts.pauses(HEALTHY + 1)

    assert caplog.messages == [
        "events in hub: the watch keeps failing, retrying: away",
        "events in hub: the watch is open again",
    ]


@pytest.mark.parametrize("lasts", [0.5, 4.0])
async def test_a_watch_that_opens_and_fails_again_and_again_is_logged_once(caplog, lasts):
    caplog.set_level("INFO", "k8s_hub.kube")
    await Attempts(Unavailable("reset"), lasts=lasts).pauses(3600)

    assert caplog.messages == ["events in hub: the watch keeps failing, retrying: reset"]


async def test_errors_in_the_stream_at_one_version_lead_to_a_list_in_the_end():
    """The server cannot decode an object of its past, for example."""
    error = decode(b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"unable to decode"}}')
    attempts = Attempts(None, lasts=0.1, says=[error])
    await attempts.pauses(600)

    ends = attempts.ends[: 2 * MOST_ERRORS]
    assert [isinstance(end, RelistRequired) for end in ends] == 2 * [*[False] * (MOST_ERRORS - 1), True]
    assert 10 < attempts.lists < 600 / ERROR_BACKOFF.ceiling + 10


async def test_errors_in_the_stream_between_events_need_no_list():
    error = decode(
        b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd has a new leader"}}'
    )

    def growing():
        for version in count(10):
            yield Bookmark(str(version))
            yield error

    attempts = Attempts(None, lasts=0.1, says=growing())
    await attempts.pauses(600)

    assert len(attempts.ends) > 2 * MOST_ERRORS
    assert attempts.lists == 1


async def test_a_watch_that_ends_as_it_is_opened_again_with_a_list_lists():
    class Told(Attempts):
        async def _stream(self):
            await is_over.wait()
            is_over.clear()
            return
            yield

    is_over, attempts = asyncio.Event(), Told(None, lasts=10)
    task = asyncio.create_task(attempts.watcher.run())
    await asyncio.sleep(10)
    is_over.set()  # the task goes on before the time-out
    assert attempts.watcher.reopen("it has lost a change", with_list=True)
    await asyncio.sleep(10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert attempts.lists == 2


async def test_each_odd_object_is_logged_once_and_no_more_than_so_many(caplog):
    watcher = Attempts(None).watcher
    for _ in range(2):
        for number in range(2 * MOST_MALFORMED):
            watcher.note_malformed(
                Malformed({"metadata": {"namespace": "hub", "name": f"p{number}"}}, "it has no uid")
            )

    assert caplog.messages[0] == "events in hub: skipped hub/p0: it has no uid"
    assert len(caplog.messages) == len(set(caplog.messages)) == MOST_MALFORMED


async def test_a_name_with_control_characters_does_not_reach_the_log(caplog):
    Attempts(None).watcher.note_malformed(
        Malformed({"metadata": {"name": "\x1b[2J\nforged line"}}, "it has no uid")
    )

    assert caplog.messages == ["events in hub: skipped an object: it has no uid"]


async def turns_during(work):
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    await work
    counter.cancel()
    return turns


async def test_the_loop_turns_when_the_budget_is_spent():
    loop_turn = CooperativeYield(budget=0)

    assert await turns_during(loop_turn.checkpoint()) > 0


async def test_the_loop_does_not_turn_before():
    loop_turn = CooperativeYield(budget=3600)

    assert await turns_during(loop_turn.checkpoint()) == 0
