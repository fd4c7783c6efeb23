import asyncio
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from devkit.chaos.fault_proxy import (
    ApiRequest,
    Delay,
    DropReply,
    DropRequest,
    Mute,
    Pass,
    Status,
    fault_proxy,
)
from devkit.realcluster.credentials import make_credentials

PODS = "/api/v1/namespaces/x/pods"


@pytest.mark.parametrize(
    "method, path, words",
    [
        ("GET", f"{PODS}?watch=true&resourceVersion=1", "watch pods"),
        ("GET", PODS, "list pods"),
        ("GET", f"{PODS}/a", "get pods a"),
        ("POST", PODS, "create pods made"),
        ("POST", f"{PODS}/a/eviction", "create pods/eviction a"),
        ("PATCH", f"{PODS}/a/status", "patch pods/status a"),
        ("DELETE", f"{PODS}/a", "delete pods a"),
        ("DELETE", PODS, "deletecollection pods"),
        ("GET", "/api/v1/nodes", "list nodes"),
        ("GET", "/api/v1/namespaces/x", "get namespaces x"),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/x/roles/hub", "get roles hub"),
        ("GET", "/version", "list"),
    ],
)
def test_a_request_in_the_words_of_roles(method, path, words):
    request = ApiRequest(method=method, path=path, body=b'{"metadata": {"name": "made"}}')
    assert str(request) == words
    assert request.namespace == ("x" if "namespaces/x/" in path else None)


class Upstream:
    """An API server of few words: it counts creates, and its watches all say what it is told."""

    def __init__(self):
        self.created = 0
        self.watches = []

    def say(self, line):
        for lines in self.watches:
            lines.put_nowait(line)

    async def answer(self, request):
        if request.method == "POST":
            self.created += 1
            return web.json_response({"created": True}, status=201)
        self.watches.append(lines := asyncio.Queue())
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(await lines.get())


@pytest.fixture
async def network(tmp_path):
    """A function that opens a proxy with one fate for all requests, an upstream, and a client of the proxy."""
    made = make_credentials(tmp_path / "keys")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(made.serving_certificate, made.serving_key)
    trusted = ssl.create_default_context(cafile=made.ca_certificate)

    @asynccontextmanager
    async def opened(fate=None):
        upstream = Upstream()
        server = web.Server(upstream.answer, handler_cancellation=True)
        listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=serving)
        url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with (
            fault_proxy(
                url,
                ca_certificate=made.ca_certificate,
                certificate=made.serving_certificate,
                key=made.serving_key,
            ) as proxy,
            aiohttp.ClientSession(
                f"https://127.0.0.1:{proxy.port}",
                connector=aiohttp.TCPConnector(ssl=trusted),
                timeout=aiohttp.ClientTimeout(total=20),
            ) as client,
        ):
            if fate is not None:
                proxy.decide = lambda _request: asyncio.sleep(0, fate)
            yield proxy, upstream, client
        listener.close()
        await server.shutdown(timeout=1)

    return opened


async def create(client):
    async with client.post(PODS, json={"metadata": {"name": "a"}}) as reply:
        return reply.status, await reply.json()


@pytest.mark.parametrize("fate", [None, Pass(), Delay(0.01)])
async def test_what_is_passed_on_is_answered(network, fate):
    async with network(fate) as (_, upstream, client):
        assert await create(client) == (201, {"created": True})
        assert upstream.created == 1


async def test_a_status_is_the_proxy_s_own(network):
    async with network(Status(429, 7)) as (_, upstream, client), client.post(PODS) as reply:
        assert (reply.status, reply.headers["Retry-After"], upstream.created) == (429, "7", 0)
        assert (await reply.json())["reason"] == "TooManyRequests"


@pytest.mark.parametrize("fate, created", [(DropRequest(), 0), (DropReply(), 1)])
async def test_a_reset_comes_before_or_after_the_deed(network, fate, created):
    async with network(fate) as (_, upstream, client):
        with pytest.raises(aiohttp.ClientError):
            await create(client)
        assert upstream.created == created


@pytest.mark.parametrize("kind", [Pass, DropReply])
async def test_a_hook_is_called_after_the_deed(network, kind):
    seen = []
    async with network() as (proxy, upstream, client):
        proxy.decide = lambda _request: asyncio.sleep(0, kind(lambda: seen.append(upstream.created)))
        if kind is Pass:
            await create(client)
        else:
            with pytest.raises(aiohttp.ClientError):
                await create(client)
    assert seen == [1]


async def test_a_muted_request_is_done_and_not_answered(network):
    async with network(Mute()) as (proxy, upstream, client):
        waiting = asyncio.create_task(create(client))
        while not upstream.created:  # noqa: ASYNC110 - it is the other end of two connections
            await asyncio.sleep(0)
        assert not waiting.done()
        assert proxy.cut("create") == 1
        with pytest.raises(aiohttp.ClientError):
            await waiting


async def test_an_open_watch_can_be_muted_and_cut(network):
    async with (
        network() as (proxy, upstream, client),
        client.get(f"{PODS}?watch=1") as watch,
        client.get(f"{PODS}?watch=1&x=later") as other,
    ):
        upstream.say(b"first\n")
        assert await watch.content.readline() == await other.content.readline() == b"first\n"
        assert proxy.mute() == 2
        async with client.get(f"{PODS}?watch=1&x=after") as after:
            upstream.say(b"second\n")
            assert await after.content.readline() == b"second\n"
            assert not watch.content._buffer
            assert proxy.cut() == 3
            with pytest.raises(aiohttp.ClientError):
                await watch.content.readline()
