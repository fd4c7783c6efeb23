"""A start ends when the server answers the hub's kind of HTTP request, or fails with its own message.

The hub's own time-out for a silent server gives no reason, and five in a row ended the hub for all users.
"""

import asyncio
from contextlib import asynccontextmanager

import pytest
from jupyterhub.utils import url_escape_path
from tornado.web import HTTPError

from devkit.minicluster.runtime import Exit
from devkit.testing.bare import bare_spawner
from devkit.testing.runs import NO_WAIT, Run, failed_start, pods, sentence_of
from k8s_hub.spawner.readiness import Probe

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


def status(code):
    return f"HTTP/1.1 {code} What\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


class Server:
    """Takes connections, and answers with what its script says: bytes, or seconds of silence before the next."""

    def __init__(self, *script, then=()):
        self.asked = []
        self.connections = 0
        self._script = list(script)
        self._then = then

    async def answer(self, reader, writer):
        self.connections += 1
        says = self._script.pop(0) if self._script else self._then
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head.decode().splitlines()[0])
            for part in says if isinstance(says, tuple) else (says,):
                if isinstance(part, bytes):
                    writer.write(part)
                    await writer.drain()
                else:
                    await asyncio.sleep(part)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has had enough
        finally:
            writer.close()

    @asynccontextmanager
    async def listening(self, host="127.0.0.1"):
        server = await asyncio.start_server(self.answer, host, 0)
        host, port = server.sockets[0].getsockname()[:2]
        try:
            yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        finally:
            server.close()


NO_ANSWERS = {
    "hangs": 1000,
    "says nothing and goes": (),
    "500": status(500),
    "502, as a proxy whose server is not there": status(502),
    "503": status(503),
    "599": status(599),
    "is no HTTP server": b"SSH-2.0-OpenSSH_9.2\r\n",
    "speaks TLS": b"\x15\x03\x01\x00\x02\x02\x28",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a head that never ends": (b"HTTP/1.1 200 OK\r\nA: ", 1000),
    "a head of a megabyte": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 2**20,
    "a whole head of twice the size": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 2**17 + b"\r\n\r\n",
    "a header that is none": b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: lots\r\n\r\n",
    "an answer that is only announced": (b"HTTP/1.1 100 Continue\r\n\r\n", 1000),
    "a status that is none": b"HTTP/1.1 okay\r\n\r\n",
    "a status that is too long": b"HTTP/1.1 20000000000 OK\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "nothing but lines": b"\r\n\r\n\r\n",
}


SENTENCE = (
    "Your server started but did not respond within 5 s. "
    "Try again; if it keeps happening, contact your administrator."
)


@pytest.mark.parametrize("says", NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_a_server_that_does_not_answer_is_given_up_after_http_timeout(cluster, says, looptime):
    async with Server(then=says).listening() as url:
        with pytest.raises(HTTPError) as failed:
            await Run(get_pod_url=lambda *_: url, http_timeout=5).start()
    assert sentence_of(failed.value) == SENTENCE
    assert f"[no_answer] pod default/jupyter-ada: {url}/user/ada/api " in str(failed.value)
    assert 5 <= looptime < 7


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hangs", "503", "is no HTTP server", "says nothing and goes"])
async def test_five_starts_of_such_a_server_leave_the_hub_up(hub, cluster, kind, looptime):
    async with Server(then=NO_ANSWERS[kind]).listening() as url:
        options = {"get_pod_url": lambda *_: url, "http_timeout": 5, "consecutive_failure_limit": 3}
        async with hub(hub=NO_WAIT, **options) as hub:
            for number in range(1, 6):
                error = await failed_start(hub)
                assert hub.failure_count == 0
                assert looptime < 8 * number
            assert sentence_of(error) == SENTENCE
            await asyncio.sleep(5)
            assert (await hub.api("GET", "/users"))[0] == 200
    assert pods(cluster) == []


async def test_five_servers_that_answer_the_start_and_never_the_hub_leave_it_up(hub, cluster):
    server = Server(then=status(503))
    async with server.listening() as url:
        options = {"get_pod_url": lambda *_: url, "http_timeout": 5, "consecutive_failure_limit": 3}
        async with hub(hub=NO_WAIT, **options) as hub:
            for _ in range(5):
                server._script = [OK]
                error = await failed_start(hub)
                assert isinstance(error, TimeoutError)
                assert hub.failure_count == 0
            await asyncio.sleep(5)
            assert (await hub.api("GET", "/users"))[0] == 200


@pytest.mark.parametrize("code", [200, 204, 301, 302, 401, 403, 404, 405, 424, 429])
async def test_whatever_is_below_500_is_an_answer(code):
    async with Server(then=status(code)).listening() as url:
        assert await Probe.by(bare_spawner(), url).ask() is None


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nA: \xe9\r\n\r\n12345",
        "HTTP/1.0 200 \r\n\r\n",
    ],
)
async def test_a_head_that_the_hub_can_read_is_an_answer(head):
    async with Server(then=head.encode("latin-1")).listening() as url:
        assert await Probe.by(bare_spawner(), url).ask() is None


async def test_what_is_an_answer_to_the_start_is_one_to_the_hub(hub, cluster):
    server = Server(then=status(302))
    async with server.listening() as url, hub(get_pod_url=lambda *_: url) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
    assert server.asked == 2 * ["GET /user/ada/api HTTP/1.1"]


async def test_a_server_that_is_there_is_asked_once(cluster):
    server = Server(then=OK)
    async with server.listening() as url:
        await Run(get_pod_url=lambda *_: url).start()
    assert server.connections == 1


async def test_a_server_that_begins_to_answer_is_handed_over_then(cluster, looptime):
    server = Server(status(503), b"not yet", (), status(502), then=OK)
    async with server.listening() as url:
        await Run(get_pod_url=lambda *_: url).start()
    assert server.connections == 5
    assert looptime < 3


async def test_a_server_that_takes_its_time_for_the_first_answer_is_waited_for(cluster, looptime):
    """Each request of a hub waits 20 s; asked anew every moment, such a server would never have answered."""
    server = Server(then=(15, OK))
    async with server.listening() as url:
        await Run(get_pod_url=lambda *_: url, http_timeout=30).start()
    assert server.connections == 1
    assert 15 <= looptime < 16


async def test_a_pod_that_ends_while_its_server_hangs_is_noticed_at_once(cluster, looptime):
    async with Server(then=1000).listening() as url:
        extra = {"extra_pod_config": {"restartPolicy": "Never"}}
        start = asyncio.create_task(Run(get_pod_url=lambda *_: url, http_timeout=300, **extra).start())
        await asyncio.sleep(10)
        await cluster.container("default", "jupyter-ada").end(Exit.of(3))
        with pytest.raises(HTTPError, match="exit code 3"):
            await start
    assert looptime < 12


async def test_a_start_that_is_cancelled_while_its_server_hangs_ends_at_once(cluster, looptime):
    async with Server(then=1000).listening() as url:
        start = asyncio.create_task(Run(get_pod_url=lambda *_: url, http_timeout=300).start())
        await asyncio.sleep(10)
        start.cancel()
        await asyncio.wait([start])
    assert start.cancelled()
    assert looptime < 10.2


@pytest.mark.parametrize("name", ["ada@example.org", "ada b", "a%2Fb", "用户", "ada--x~y"])
async def test_it_is_asked_at_the_path_at_which_the_hub_asks(name):
    server = Server(then=OK)
    async with server.listening() as url:
        run = Run(name)
        run.has_row()
        run.spawner.server.base_url = f"/hub prefix/user/{url_escape_path(name)}/"
        assert await Probe.by(run.spawner, f"{url}/of/its/own?x=y").ask() is None
    (line,) = server.asked
    assert line.startswith("GET /hub%20prefix/user/")
    assert line.endswith("/api HTTP/1.1")


async def test_an_address_of_ipv6_is_asked(cluster):
    server = Server(then=OK)
    async with server.listening("::1") as url:
        assert await Probe.by(bare_spawner(), url).ask() is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "accepts no connections"),
        ("http://a..b", ""),
        ("http://a b", ""),
        (f"http://{'a' * 300}.example", ""),
    ],
)
async def test_an_address_that_leads_nowhere_is_told(url, words):
    assert words in await Probe.by(bare_spawner(), url).ask()


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with Server(then=OK).listening() as url:
        assert await Probe.by(bare_spawner(), url).ask() is None
