"""The text on the hub's progress page, event by event, in any number of tabs."""

import asyncio
import json

import pytest

from devkit.testing.runs import claims, plant_pod, pods, takes

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

NO_WAIT = {"tornado_settings": {"slow_spawn_timeout": 0}}

START = [
    (0, "Server requested"),  # the hub's own
    (5, "The hub is preparing your server."),
    (20, "Looking for a machine for your server."),
    (80, "Found a machine; setting up your server."),
    (95, "Your server is running. Waiting for its first response."),
    (100, "Server ready at /user/ada/"),  # the hub's own
]


async def tab(hub):
    """Return the events of a progress page that is open until the hub closes it."""
    url = f"{hub.api_url}/users/ada/server/progress"
    headers = {"Authorization": f"token {hub.token('ada')}"}
    async with hub._session.get(url, headers=headers) as reply:
        body = await reply.text()
    return [
        json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line.startswith("data: ")
    ]


def read_in(events):
    return [(event["progress"], event["message"]) for event in events]


async def test_the_sentences_of_a_start_come_in_order_and_to_each_tab(hub, cluster):
    """A tab that is opened late reads all of it too."""
    takes(cluster, schedule=10, pull=10, start=10)
    async with hub(hub=NO_WAIT) as hub:
        await hub.start_server("ada")
        early = asyncio.create_task(tab(hub))
        await asyncio.sleep(25)
        late = asyncio.create_task(tab(hub))
        await hub.wait_ready("ada", seconds=60)

        assert read_in(await early) == START
        assert read_in(await late) == START


async def test_a_failed_start_ends_its_page_with_the_reason(hub, cluster):
    async with hub(hub=NO_WAIT, start_timeout=60, node_selector={"accelerator": "gpu"}) as hub:
        await hub.start_server("ada")
        *told, last = await tab(hub)

    failed = (
        "No machine of the kind that your server asks for became available within 1 min. "
        "Choose another kind of server, or try again later."
    )
    assert told[-1]["message"] == "Your server is waiting for a machine of the kind it asks for."
    assert last["failed"]
    assert last["message"] == f"Spawn failed: {failed}"
    assert last["html_message"] == f'<p>{failed}</p><p><a href="/hub/spawn/ada">Try again</a></p>'


async def test_a_closed_tab_does_not_stop_the_start(hub, cluster):
    takes(cluster, pull=10)
    async with hub(hub=NO_WAIT) as hub:
        await hub.start_server("ada")
        closed = asyncio.create_task(tab(hub))
        await asyncio.sleep(5)
        closed.cancel()
        await asyncio.wait([closed])

        await hub.wait_ready("ada", seconds=60)
        assert len(pods(cluster)) == 1


async def test_the_page_of_a_second_start_begins_anew(hub, cluster):
    plant_pod(cluster)
    takes(cluster, stop=10)
    async with hub(hub=NO_WAIT) as hub:
        await hub.start_server("ada")
        first = await tab(hub)
        await hub.wait_ready("ada", seconds=60)
        await hub.stop_server("ada")
        await hub.wait_stopped("ada", seconds=60)
        takes(cluster, pull=10)
        await hub.start_server("ada")
        second = await tab(hub)

    assert "Your previous server is still shutting down." in [message for _, message in read_in(first)]
    assert "Your previous server is still shutting down." not in [message for _, message in read_in(second)]
    assert len(claims(cluster)) == 1
