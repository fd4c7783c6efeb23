"""Each planted fault does to a client what the real one does."""

import asyncio

import aiohttp
import pytest

from devkit.minicluster.faults import (
    Call,
    CommitAfterDisconnect,
    CutWatch,
    FaultRule,
    Faults,
    Refuse,
    ReplyLost,
    RequestLost,
    Slow,
    WatchGone,
    refuse,
    too_many_requests,
)
from devkit.minicluster.statuses import status_body
from tests.devkit.minicluster.material import CLAIMS, PODS, SECRETS, claim, is_in, pod, secret

pytestmark = pytest.mark.looptime


def call(verb="create", resource="pods", namespace="default", name="a"):
    return Call(verb=verb, resource=resource, namespace=namespace, name=name)


@pytest.mark.parametrize(
    ("rule", "is_struck"),
    [
        ({}, True),
        ({"verb": "create"}, True),
        ({"verb": "delete"}, False),
        ({"resource": "pods"}, True),
        ({"resource": "secrets"}, False),
        ({"namespace": "def*"}, True),
        ({"namespace": "other"}, False),
        ({"name": "a*"}, True),
        ({"name": "b*"}, False),
    ],
)
def test_a_rule_strikes_what_it_names(rule, is_struck):
    faults = Faults(lambda: None)
    faults.add(FaultRule(effect=ReplyLost(), **rule))
    assert (faults.strike(call()) is not None) is is_struck


def test_a_rule_strikes_as_often_as_it_says_and_says_how_often_it_did():
    faults = Faults(lambda: None)
    rule = faults.add(FaultRule(effect=ReplyLost(), count=2))
    struck = [faults.strike(call()) is not None for _ in range(3)]
    assert (struck, faults.hits(rule)) == ([True, True, False], 2)


def test_a_rule_that_is_used_up_makes_way_for_the_next():
    faults = Faults(lambda: None)
    faults.add(FaultRule(effect=ReplyLost(), count=1))
    faults.add(FaultRule(effect=RequestLost()))
    assert [faults.strike(call()), faults.strike(call())] == [ReplyLost(), RequestLost()]


def test_rules_can_be_removed_and_cleared():
    faults = Faults(lambda: None)
    first = faults.add(FaultRule(effect=ReplyLost()))
    faults.add(FaultRule(effect=RequestLost()))
    faults.remove(first)
    assert faults.strike(call()) == RequestLost()
    faults.clear()
    assert faults.strike(call()) is None


def test_an_effect_on_streams_leaves_requests_alone_and_the_other_way_round():
    faults = Faults(lambda: None)
    faults.add(FaultRule(effect=CutWatch()))
    faults.add(FaultRule(effect=RequestLost()))
    assert faults.strike(call("watch")) == RequestLost()
    assert faults.strike_stream(call("watch"), has_line=True) == CutWatch()


async def test_reply_lost_after_commit(cluster, client):
    rule = cluster.faults.add(FaultRule(effect=ReplyLost(), verb="create", resource="secrets", count=1))
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.create(SECRETS, secret())
    answer = await client.call("POST", SECRETS, secret())
    assert (answer.code, answer.body["reason"]) == (409, "AlreadyExists")
    assert cluster.faults.hits(rule) == 1


async def test_request_lost_before_commit(cluster, client):
    cluster.faults.add(FaultRule(effect=RequestLost(), verb="create", count=1))
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.create(SECRETS, secret())
    assert (await client.call("GET", f"{SECRETS}/a")).code == 404


async def test_commit_after_disconnect(cluster, client):
    cluster.faults.add(FaultRule(effect=CommitAfterDisconnect(seconds=5), verb="create", name="a"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await client.create(SECRETS, secret())
    assert (await client.call("GET", f"{SECRETS}/a")).code == 404
    await asyncio.sleep(5)
    assert (await client.call("GET", f"{SECRETS}/a")).code == 200


async def test_a_client_that_waits_gets_the_late_commits_answer(cluster, client):
    cluster.faults.add(FaultRule(effect=CommitAfterDisconnect(seconds=5), verb="create"))
    assert (await client.create(SECRETS, secret()))["metadata"]["name"] == "a"
    assert (await client.call("POST", SECRETS, secret())).code == 409


async def test_a_slow_call_whose_client_leaves_does_nothing(cluster, client):
    cluster.faults.add(FaultRule(effect=Slow(seconds=5), verb="create"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await client.create(SECRETS, secret())
    await asyncio.sleep(10)
    assert (await client.call("GET", f"{SECRETS}/a")).code == 404


async def test_a_slow_answer_takes_loop_time(cluster, client, looptime):
    cluster.faults.add(FaultRule(effect=Slow(seconds=20), verb="get"))
    await client.create(SECRETS, secret())
    before = asyncio.get_running_loop().time()
    await client.get(f"{SECRETS}/a")
    assert 20 <= asyncio.get_running_loop().time() - before < 21


async def test_429_says_when_to_come_again(cluster, client):
    cluster.faults.add(FaultRule(effect=too_many_requests(retry_after_seconds=7), count=1))
    async with client._open("GET", PODS, None, {}) as response:
        body = await response.json()
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
    assert (body["reason"], body["details"]) == ("TooManyRequests", {"retryAfterSeconds": 7})
    assert (await client.call("GET", PODS)).code == 200


async def test_a_refusal_is_the_status_that_was_given(cluster, client):
    status = status_body(403, "Forbidden", 'pods "a" is forbidden: exceeded quota: team, requested: pods=1')
    cluster.faults.add(FaultRule(effect=refuse(status), verb="create", resource="pods"))
    answer = await client.call("POST", PODS, pod())
    assert (answer.code, answer.body) == (403, status)
    assert (await client.call("GET", f"{PODS}/a")).code == 404


async def test_something_before_the_api_speaks_no_json(cluster, client):
    cluster.faults.add(FaultRule(effect=Refuse(code=502, body="<h1>Bad Gateway</h1>"), count=1))
    answer = await client.call("GET", PODS)
    assert (answer.code, answer.body) == (502, {"text": "<h1>Bad Gateway</h1>"})


async def test_an_open_watch_is_cut_in_the_middle_of_a_line(cluster, client):
    async with client.watch(SECRETS) as watch:
        await client.create(SECRETS, secret("before"))
        await watch.next()
        cluster.faults.add(FaultRule(effect=CutWatch(), resource="secrets", count=1))
        await client.create(SECRETS, secret("cut"))
        half = await watch.response.content.readany()
        assert half.startswith(b'{"type":"ADDED","object":')
        assert not half.endswith(b"\n")
        with pytest.raises(aiohttp.ClientError):
            await watch.response.content.readany()
    async with client.watch(SECRETS) as watch:
        assert [(await watch.next())["object"]["metadata"]["name"] for _ in range(2)] == ["before", "cut"]


async def test_an_open_watch_ends_with_410_at_once(cluster, client):
    async with client.watch(PODS) as watch:
        cluster.faults.add(FaultRule(effect=WatchGone(), count=1))
        gone = await watch.next()
        assert (gone["type"], gone["object"]["code"], gone["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert await watch.rest() == []


async def test_a_watch_is_refused_with_410_at_its_start(cluster, client):
    status = status_body(410, "Expired", "too old resource version")
    cluster.faults.add(FaultRule(effect=refuse(status), verb="watch"))
    answer = await client.call("GET", PODS, watch="true")
    assert (answer.code, answer.body) == (410, status)
    assert (await client.call("GET", PODS)).code == 200


async def test_while_the_api_is_away_connections_are_refused_and_pods_go_on(cluster, client):
    await client.create(PODS, pod())
    found = await client.eventually(f"{PODS}/a", is_in("Running"))
    async with client.watch(PODS) as watch:
        await watch.next()
        url = cluster.url
        await cluster.go_away()
        with pytest.raises(aiohttp.ClientError):
            await watch.next()
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.get(PODS)
    async with client.session.get(f"http://{found['status']['podIP']}:8888/user/a/api") as response:
        assert response.status == 200
    await asyncio.sleep(90)
    await cluster.come_back()
    assert cluster.url == url
    assert (await client.get(f"{PODS}/a"))["metadata"]["uid"] == found["metadata"]["uid"]


async def test_a_watch_goes_on_where_it_was_before_the_api_was_away(cluster, client):
    version = (await client.get(PODS))["metadata"]["resourceVersion"]
    await cluster.go_away()
    await cluster.come_back()
    await client.create(CLAIMS, claim())
    await client.create(PODS, pod())
    async with client.watch(PODS, resourceVersion=version) as watch:
        assert (await watch.next())["type"] == "ADDED"
