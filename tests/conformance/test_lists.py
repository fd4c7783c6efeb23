"""Lists: pages of one moment, selectors, and the versions they name."""

import os

import pytest

from devkit.realcluster.build import other_version
from tests.conformance.server import Server, names, pod, secret, version_of


@pytest.fixture
async def five(server: Server) -> list[str]:
    """Names of five secrets, in the order of lists."""
    made = [f"s{number}" for number in range(5)]
    for name in reversed(made):
        await server.create("secrets", secret(name))
    return made


async def pages(server: Server, plural: str, **parameters: str):
    page = await server.list(plural, **parameters)
    yield page
    while following := page["metadata"].get("continue"):
        page = await server.list(plural, **parameters | {"continue": following})
        yield page


async def test_a_list_is_typed_sorted_by_name_and_has_a_version(server, five):
    answer = await server.list("secrets")
    assert (answer["kind"], answer["apiVersion"]) == ("SecretList", "v1")
    assert names(answer) == five
    assert version_of(answer) >= max(version_of(item) for item in answer["items"])


async def test_items_of_a_list_do_not_repeat_kind_and_api_version(server, five):
    item = (await server.list("secrets"))["items"][0]
    assert not {"kind", "apiVersion"} & set(item)


async def test_an_empty_list_has_items_and_a_version(server):
    answer = await server.list("services")
    assert answer["items"] == []
    assert version_of(answer) > 0


async def test_pages_hold_all_objects_once_and_say_how_many_remain(server, five):
    found = [page async for page in pages(server, "secrets", limit="2")]
    assert [names(page) for page in found] == [five[:2], five[2:4], five[4:]]
    assert [page["metadata"].get("remainingItemCount") for page in found] == [3, 1, None]
    assert not found[-1]["metadata"].get("continue")


async def test_all_pages_are_of_the_moment_of_the_first(server, five):
    """What is created or deleted between the pages does not show."""
    first = await server.list("secrets", limit="2")
    await server.create("secrets", secret("s9"))
    await server.client.delete(server.path("secrets", five[4]))
    rest = await server.list("secrets", **{"limit": "10", "continue": first["metadata"]["continue"]})
    assert names(rest) == five[2:]
    assert version_of(rest) == version_of(first)


async def test_a_limit_larger_than_the_list_gives_one_page(server, five):
    answer = await server.list("secrets", limit="500")
    assert names(answer) == five
    assert "continue" not in answer["metadata"]
    assert "remainingItemCount" not in answer["metadata"]


async def test_pages_count_only_what_is_selected(server):
    for number in range(4):
        await server.create("secrets", secret(f"s{number}", {"kind": "odd" if number % 2 else "even"}))
    found = [page async for page in pages(server, "secrets", limit="1", labelSelector="kind=odd")]
    assert [name for page in found for name in names(page)] == ["s1", "s3"]
    assert all("remainingItemCount" not in page["metadata"] for page in found)


async def test_a_page_after_compaction_is_410_expired(server, five):
    page = await server.list("secrets", limit="2")
    await server.create("secrets", secret("later"))
    await server.forget_history()
    answer = await server.client.call(
        "GET", server.path("secrets"), **{"limit": "2", "continue": page["metadata"]["continue"]}
    )
    assert (answer.code, answer.body["code"], answer.body["reason"]) == (410, 410, "Expired")
    assert answer.body["kind"] == "Status"


async def test_a_made_up_continue_token_is_400(server):
    answer = await server.client.call("GET", server.path("secrets"), **{"limit": "2", "continue": "nonsense"})
    assert (answer.code, answer.body["reason"]) == (400, "BadRequest")


async def test_version_zero_lists_too(server, five):
    assert names(await server.list("secrets", resourceVersion="0")) == five


async def test_a_list_at_a_version_from_the_future_is_a_504_that_says_so(server):
    future = str(int(await server.version()) + 1_000_000)
    answer = await server.client.call("GET", server.path("pods"), resourceVersion=future)
    assert (answer.code, answer.body["reason"]) == (504, "Timeout")
    assert "Too large resource version" in answer.body["message"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=hub", ["a"]),
        ("app==hub", ["a"]),
        ("app!=hub", ["b", "c"]),
        ("app in (hub, proxy)", ["a", "b"]),
        ("app notin (hub,proxy)", ["c"]),
        ("app", ["a", "b"]),
        ("!app", ["c"]),
        ("app=hub,tier=front", []),
        ("app,tier=front", ["b"]),
    ],
)
async def test_label_selectors(server, selector, expected):
    await server.create("secrets", secret("a", {"app": "hub"}))
    await server.create("secrets", secret("b", {"app": "proxy", "tier": "front"}))
    await server.create("secrets", secret("c"))
    assert names(await server.list("secrets", labelSelector=selector)) == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=p1", ["p1"]),
        ("metadata.name!=p1", ["p2"]),
        ("status.phase=Pending", ["p1", "p2"]),
        ("status.phase=Running", []),
        ("spec.nodeName=", ["p1", "p2"]),
        ("metadata.name=p1,status.phase=Pending", ["p1"]),
    ],
)
async def test_field_selectors_of_pods(server, selector, expected):
    await server.waiting_pod("p1")
    await server.waiting_pod("p2")
    assert names(await server.list("pods", fieldSelector=selector)) == expected


@pytest.mark.parametrize(
    "parameters",
    [
        {"labelSelector": "app in hub"},
        {"fieldSelector": "spec.colour=red"},
        {"limit": "two"},
        {"resourceVersion": "yesterday"},
    ],
    ids=lambda parameters: next(iter(parameters)),
)
async def test_a_malformed_question_is_400(server, parameters):
    if "resourceVersion" in parameters and other_version(os.environ):
        pytest.skip("an older API server answers 500")
    answer = await server.client.call("GET", server.path("pods"), **parameters)
    assert (answer.code, answer.body["kind"], answer.body["reason"]) == (400, "Status", "BadRequest")


async def test_a_list_of_all_namespaces_has_this_one(server):
    await server.create("secrets", secret("here"))
    answer = await server.client.get("/api/v1/secrets")
    places = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in answer["items"]]
    assert (server.namespace, "here") in places
    assert places == sorted(places)


async def test_a_list_of_a_namespace_that_is_not_there_is_empty(server):
    assert (await server.client.get("/api/v1/namespaces/not-there/pods"))["items"] == []


async def test_lists_of_one_kind_do_not_show_another(server):
    await server.create("pods", pod("one"))
    assert names(await server.list("services")) == []
