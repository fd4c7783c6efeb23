import asyncio

import pytest

from k8s_hub.kube.core.errors import Invalid, Unavailable
from k8s_hub.spawner.attempt import PendingCreates


async def test_a_cancelled_start_does_not_cut_off_its_create():
    creates, reply = PendingCreates(), asyncio.Event()
    created = []

    async def create():
        await reply.wait()
        created.append("pod")
        return {}

    start = asyncio.create_task(creates.run(create(), attempt_id="a"))
    await asyncio.sleep(0)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert created == []
    reply.set()
    await creates.wait()

    assert created == ["pod"]
    assert creates.uncertain_attempt is None


@pytest.mark.parametrize(
    ("error", "is_uncertain"),
    [
        (Unavailable("no answer"), True),
        (Unavailable("gateway", code=504), True),
        (Unavailable("come back later", code=429), False),
        (Unavailable("the quota has been modified", code=409), False),
        (Invalid("no", code=422), False),
    ],
)
async def test_only_a_lost_reply_leaves_open_whether_the_object_exists(error, is_uncertain):
    creates = PendingCreates()

    async def create():
        raise error

    with pytest.raises(type(error)):
        await creates.run(create(), attempt_id="a")

    assert creates.uncertain_attempt == ("a" if is_uncertain else None)


async def test_a_stop_settles_only_the_attempt_that_it_knows():
    """A start that goes on meanwhile may have lost a reply of its own."""
    creates = PendingCreates()
    creates.uncertain_attempt = "b"

    creates.settle("a")
    assert creates.uncertain_attempt == "b"

    creates.settle("b")
    assert creates.uncertain_attempt is None


async def test_waiting_without_requests_returns_at_once():
    await PendingCreates().wait()
