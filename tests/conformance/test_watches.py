"""Watches: what happened since a version, in order, once; and what is said when that is not known."""

import asyncio

import pytest

from tests.conformance.client import Raw
from tests.conformance.server import UNPLACEABLE, Server, pod, secret, shown, version_of


async def change_twice(server: Server) -> None:
    await server.create("secrets", secret("a"))
    await server.client.delete(server.path("secrets", "a"))


async def test_a_watch_shows_what_happens_after_its_version_in_order(server):
    await server.create("secrets", secret("before"))
    async with server.client.watch(
        server.path("secrets"), resourceVersion=await server.version("secrets")
    ) as watch:
        await server.create("secrets", secret("a"))
        await server.create("secrets", secret("b"))
        await server.client.delete(server.path("secrets", "a"))
        seen = [await watch.next() for _ in range(3)]
    assert shown(seen) == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]
    versions = [version_of(event["object"]) for event in seen]
    assert versions == sorted(set(versions))


async def test_objects_in_a_watch_are_typed(server):
    version = await server.version("secrets")
    await server.create("secrets", secret("a"))
    async with server.client.watch(server.path("secrets"), resourceVersion=version) as watch:
        seen = (await watch.next())["object"]
    assert (seen["kind"], seen["apiVersion"]) == ("Secret", "v1")


async def test_a_watch_shows_what_happened_before_it_was_opened(server):
    version = await server.version("secrets")
    await change_twice(server)
    async with server.client.watch(server.path("secrets"), resourceVersion=version) as watch:
        assert shown([await watch.next() for _ in range(2)]) == [("ADDED", "a"), ("DELETED", "a")]


async def test_a_watch_resumed_from_the_last_event_repeats_nothing(server):
    async with server.client.watch(
        server.path("secrets"), resourceVersion=await server.version("secrets")
    ) as watch:
        await server.create("secrets", secret("a"))
        last = str(version_of((await watch.next())["object"]))
    await server.create("secrets", secret("b"))
    async with server.client.watch(server.path("secrets"), resourceVersion=last) as watch:
        assert shown([await watch.next()]) == [("ADDED", "b")]


async def test_a_watch_resumed_from_a_deletion_does_not_repeat_it(server):
    version = await server.version("secrets")
    await change_twice(server)
    async with server.client.watch(server.path("secrets"), resourceVersion=version) as watch:
        deleted = (await watch.until(lambda event: event["type"] == "DELETED"))[-1]
    await server.create("secrets", secret("b"))
    resumed = str(version_of(deleted["object"]))
    async with server.client.watch(server.path("secrets"), resourceVersion=resumed) as watch:
        assert shown([await watch.next()]) == [("ADDED", "b")]


@pytest.mark.parametrize("parameters", [{}, {"resourceVersion": "0"}], ids=["no version", "version 0"])
async def test_a_watch_without_a_version_begins_with_what_is_there(server, parameters):
    await server.create("secrets", secret("a"))
    await server.create("secrets", secret("b"))
    async with server.client.watch(server.path("secrets"), **parameters) as watch:
        assert sorted(shown([await watch.next(), await watch.next()])) == [("ADDED", "a"), ("ADDED", "b")]
        await server.create("secrets", secret("c"))
        assert shown([await watch.next()]) == [("ADDED", "c")]


async def test_two_watches_see_the_same(server):
    version = await server.version("secrets")
    path = server.path("secrets")
    async with (
        server.client.watch(path, resourceVersion=version) as one,
        server.client.watch(path, resourceVersion=version) as two,
    ):
        await change_twice(server)
        assert [await one.next(), await one.next()] == [await two.next(), await two.next()]


async def test_a_watch_of_a_namespace_sees_no_other(server):
    version = await server.version("events")
    async with server.client.watch(
        "/api/v1/namespaces/not-there/secrets", resourceVersion=version, timeoutSeconds="1"
    ) as watch:
        await server.create("secrets", secret("a"))
        assert await watch.rest() == []


async def test_a_watch_of_all_namespaces_sees_this_one(server):
    version = await server.version("secrets")
    async with server.client.watch("/api/v1/secrets", resourceVersion=version) as watch:
        await server.create("secrets", secret("a"))
        seen = await watch.until(lambda event: event["object"]["metadata"]["namespace"] == server.namespace)
    assert shown(seen)[-1] == ("ADDED", "a")


async def test_a_watch_ends_by_itself_at_its_time_out(server):
    async with asyncio.timeout(60):
        assert await server.client.events(server.path("secrets"), timeoutSeconds="1") == []


async def test_bookmarks_carry_a_quiet_watch_past_what_it_did_not_see(server):
    """One comes about two seconds before the time-out, if the version has moved on since the watch began."""
    version = await server.version("secrets")
    quiet = {"labelSelector": "app=nobody", "allowWatchBookmarks": "true", "timeoutSeconds": "4"}
    async with server.client.watch(server.path("secrets"), resourceVersion=version, **quiet) as watch:
        await change_twice(server)
        seen = await watch.rest()
    assert {event["type"] for event in seen} == {"BOOKMARK"}
    bookmark = seen[-1]["object"]
    assert (bookmark["kind"], bookmark["apiVersion"]) == ("Secret", "v1")
    assert "name" not in bookmark["metadata"]
    assert version_of(bookmark) >= int(version) + 2
    await server.create("secrets", secret("a"))
    async with server.client.watch(
        server.path("secrets"), resourceVersion=str(version_of(bookmark))
    ) as watch:
        assert shown([await watch.next()]) == [("ADDED", "a")]


async def test_there_are_no_bookmarks_for_who_did_not_ask(server):
    version = await server.version("secrets")
    assert (
        await server.client.events(server.path("secrets"), resourceVersion=version, timeoutSeconds="3") == []
    )


async def test_a_watch_after_compaction_says_410_in_the_stream(server):
    """HTTP 200, one ERROR event whose object is a Status, and the end."""
    version = await server.version("secrets")
    await change_twice(server)
    await server.forget_history()
    seen = await server.client.events(server.path("secrets"), resourceVersion=version, timeoutSeconds="5")
    assert [event["type"] for event in seen] == ["ERROR"]
    status = seen[0]["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")


async def test_after_compaction_a_new_list_can_be_watched_from(server):
    await change_twice(server)
    await server.forget_history()
    version = await server.version("secrets")
    async with server.client.watch(server.path("secrets"), resourceVersion=version) as watch:
        await server.create("secrets", secret("b"))
        assert shown([await watch.next()]) == [("ADDED", "b")]


async def test_a_watch_with_a_label_selector_sees_only_those(server):
    version = await server.version("secrets")
    async with server.client.watch(
        server.path("secrets"), resourceVersion=version, labelSelector="app=hub"
    ) as watch:
        await server.create("secrets", secret("other", {"app": "proxy"}))
        await server.create("secrets", secret("ours", {"app": "hub"}))
        assert shown([await watch.next()]) == [("ADDED", "ours")]


async def test_a_watch_of_one_name_sees_only_that(server):
    version = await server.version("secrets")
    async with server.client.watch(
        server.path("secrets"), resourceVersion=version, fieldSelector="metadata.name=ours"
    ) as watch:
        await server.create("secrets", secret("other"))
        await server.create("secrets", secret("ours"))
        assert shown([await watch.next()]) == [("ADDED", "ours")]


async def test_an_object_that_leaves_the_selection_is_deleted_for_this_watch(server):
    """A pod that begins to run is DELETED where Pending ones are watched, though it is still there."""
    version = await server.version()
    async with server.client.watch(
        server.path("pods"), resourceVersion=version, fieldSelector="status.phase=Pending"
    ) as watch:
        await server.running_pod("p")
        seen = await watch.until(lambda event: event["type"] == "DELETED")
    assert shown(seen)[0] == ("ADDED", "p")
    assert {event["type"] for event in seen[1:-1]} <= {"MODIFIED"}
    left: Raw = seen[-1]["object"]
    assert version_of(left) > version_of(seen[-2]["object"])
    assert "deletionTimestamp" not in left["metadata"]


async def test_an_object_that_enters_the_selection_is_added_for_this_watch(server):
    version = await server.version()
    async with server.client.watch(
        server.path("pods"), resourceVersion=version, fieldSelector="status.phase=Running"
    ) as watch:
        await server.create("pods", pod("waits", **UNPLACEABLE))
        await server.create("pods", pod("runs"))
        first = await watch.next()
    assert shown([first]) == [("ADDED", "runs")]
    assert first["object"]["status"]["phase"] == "Running"


async def test_a_malformed_watch_is_400(server):
    answer = await server.client.call("GET", server.path("pods"), watch="true", labelSelector="app in hub")
    assert (answer.code, answer.body["reason"]) == (400, "BadRequest")
