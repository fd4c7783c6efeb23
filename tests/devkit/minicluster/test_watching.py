"""Watches in time: bookmarks and ends, as the loop's clock tells them."""

import asyncio

import pytest

from tests.devkit.minicluster.material import PODS, SECRETS, running_cluster, secret

pytestmark = pytest.mark.looptime


async def kinds_of_events(client, seconds, **parameters):
    events = await client.events(SECRETS, timeoutSeconds=str(seconds), **parameters)
    return [event["type"] for event in events]


@pytest.fixture
async def client(tmp_path):
    async with running_cluster(tmp_path, bookmark_seconds=10) as (_, client):
        yield client


async def test_a_bookmark_comes_each_period_and_one_at_the_end(client):
    assert await kinds_of_events(client, 25, allowWatchBookmarks="true") == ["BOOKMARK"] * 3


async def test_changes_do_not_bring_more_bookmarks(client):
    watching = asyncio.create_task(kinds_of_events(client, 15, allowWatchBookmarks="true"))
    await asyncio.sleep(11)
    for name in "ab":
        await client.create(SECRETS, secret(name))
        await asyncio.sleep(1)
    assert await watching == ["BOOKMARK", "ADDED", "ADDED", "BOOKMARK"]


async def test_nobody_gets_bookmarks_who_did_not_ask(client):
    assert await kinds_of_events(client, 25) == []


async def test_a_bookmark_is_a_version_to_go_on_from(client):
    await client.create(SECRETS, secret())
    events = await client.events(PODS, timeoutSeconds="1", allowWatchBookmarks="true")
    version = events[-1]["object"]["metadata"]["resourceVersion"]
    assert version == (await client.get(PODS))["metadata"]["resourceVersion"]
