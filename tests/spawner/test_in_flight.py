import asyncio

import pytest

from k8s_hub.kube.core.errors import Invalid, Unavailable
from k8s_hub.spawner.launch import Creates


async def test_a_cancelled_start_does_not_cut_off_its_create():
    creates, reply = Creates(), asyncio.Event()
    created = []

    async def create():
        await reply.wait()
        created.append("pod")
        return {}

    start = asyncio.create_task(creates.run(create()))
    await asyncio.sleep(0)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert created == []
    reply.set()
    await creates.settle()

    assert created == ["pod"]
    assert not creates.is_uncertain


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
    creates = Creates()

    async def create():
        raise error

    with pytest.raises(type(error)):
        await creates.run(create())

    assert creates.is_uncertain is is_uncertain


async def test_settling_without_requests_returns_at_once():
    await Creates().settle()
