"""Servers are asked what they run: within bounds, without harm, and whatever they answer."""

import asyncio
import functools
import gzip
import json
import logging
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from certipy import Certipy
from jupyterhub.app import JupyterHub
from jupyterhub.utils import make_ssl_context

from devkit.demo.settings import free_port
from devkit.testing.inmemoryhub import NOW, server
from k8s_hub.culler.core.policy import Work
from k8s_hub.culler.probe import (
    AT_ONCE,
    LAST_USE,
    LIFETIME,
    LONGEST_ANSWER,
    ProbeSettings,
    ServerProbe,
    ServerTokens,
    Silence,
)
from k8s_hub.hub.connection import internal_ssl_context, servers_ssl_context
from k8s_hub.hub.errors import HubForbidden, HubUnavailable

TOKEN = "token-of-the-culler"
KERNEL = {"last_activity": "2026-07-01T12:00:00.000000Z", "execution_state": "busy", "connections": 1}
NOTHING = Work(busy=0, connections=0, last_execution=None)
BUSY = Work(busy=1, connections=1, last_execution=NOW)
JSON = "Content-Type: application/json"


def reply(status=200, body=b"[]", *headers):
    """An answer as it goes over the wire."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(content)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


class Machine:
    """Plays the program that listens in a user's pod; ``answers`` are bytes by the end of the path, or coroutines."""

    def __init__(self, **answers):
        self.answers = answers
        self.requests: list[str] = []
        self.in_flight = self.peak = 0

    async def _serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            path = head.split(" ")[1]
            answer = self.answers.get(path.partition("?")[0].rpartition("/")[2], reply(404, b"{}"))
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked has heard enough
        finally:
            self.in_flight -= 1
            writer.close()

    @asynccontextmanager
    async def listening(self, context=None):
        """Listen, and yield the server as the hub describes it."""
        tasks = set()
        listener = await asyncio.start_server(
            lambda reader, writer: tasks.add(asyncio.create_task(self._serve(reader, writer))),
            "127.0.0.1",
            0,
            ssl=context,
        )
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            yield at(f"{'https' if context else 'http'}://127.0.0.1:{port}/user/ada/")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def at(url, user="ada"):
    return replace(server(user), raw={"url": f"/user/{user}/", "state": {"url": url}})


def probe(**options):
    """Ask with the culler's own token, unless said otherwise."""
    others = {name: options.pop(name, None) for name in ("routes", "tokens", "scopes")}
    return ServerProbe(ProbeSettings(**{"token": TOKEN, "timeout_seconds": 5, **options}), **others)


async def test_kernels_and_terminals_are_asked_once_and_without_being_activity():
    machine = Machine(kernels=reply(200, [KERNEL], JSON), terminals=reply(200, [], JSON))
    async with machine.listening() as described, probe() as servers:
        assert await servers.work(described) == BUSY
    assert [request.splitlines()[0] for request in machine.requests] == [
        "GET /user/ada/api/kernels?no_track_activity=1 HTTP/1.1",
        "GET /user/ada/api/terminals?no_track_activity=1 HTTP/1.1",
    ]
    assert all(f"Authorization: token {TOKEN}" in request for request in machine.requests)
    assert not servers.silent


async def test_a_server_without_terminals_is_known_by_its_kernels():
    async with Machine(kernels=reply(200, [KERNEL])).listening() as described, probe() as servers:
        assert await servers.work(described) == BUSY


async def endless(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        await writer.drain()


async def dripping(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def mute(writer):
    await asyncio.sleep(30)


async def hanging_up(writer):
    writer.transport.abort()


BAD = {
    "kernels are refused": (Silence.REFUSED, {"kernels": reply(403, b'{"message": "Forbidden"}')}),
    "the token is not known": (Silence.REFUSED, {"kernels": reply(401)}),
    "terminals are refused": (Silence.REFUSED, {"kernels": reply(), "terminals": reply(403)}),
    "a redirect to a login": (Silence.UNREADABLE, {"kernels": reply(302, b"", "Location: /hub/login")}),
    "no Jupyter server": (Silence.UNREADABLE, {}),
    "an error": (Silence.UNREADABLE, {"kernels": reply(500, b"Traceback")}),
    "an error about terminals": (Silence.UNREADABLE, {"kernels": reply(), "terminals": reply(500)}),
    "a page": (
        Silence.UNREADABLE,
        {"kernels": reply(200, b"<html>Loading</html>", "Content-Type: text/html")},
    ),
    "nothing at all": (Silence.UNREADABLE, {"kernels": reply(200, b"")}),
    "bytes": (Silence.UNREADABLE, {"kernels": reply(200, bytes(range(256)))}),
    "brackets without end": (Silence.UNREADABLE, {"kernels": reply(200, b"[" * 500_000)}),
    "a number without end": (Silence.UNREADABLE, {"kernels": reply(200, b"9" * 500_000)}),
    "an object": (Silence.UNREADABLE, {"kernels": reply(200, {"message": "hello"})}),
    "a naive time": (
        Silence.UNREADABLE,
        {
            "kernels": reply(
                200, [{**KERNEL, "execution_state": "idle", "last_activity": "2026-07-01T12:00:00"}]
            )
        },
    ),
    "bad terminals": (Silence.UNREADABLE, {"kernels": reply(), "terminals": reply(200, [1])}),
    "no end": (Silence.UNREADABLE, {"kernels": endless}),
    "a bomb": (
        Silence.UNREADABLE,
        {"kernels": reply(200, gzip.compress(b" " * 50_000_000 + b"[]"), "Content-Encoding: gzip")},
    ),
    "what is compressed though nobody asked for that": (
        Silence.UNREADABLE,
        {"kernels": reply(200, gzip.compress(b"[]"), "Content-Encoding: gzip")},
    ),
    "a trickle": (Silence.SLOW, {"kernels": dripping}),
    "silence": (Silence.SLOW, {"kernels": mute}),
    "silence about terminals": (Silence.SLOW, {"kernels": reply(), "terminals": mute}),
    "no HTTP": (Silence.UNREACHABLE, {"kernels": b"SSH-2.0-OpenSSH_9.6\r\n\r\n"}),
    "a header without end": (Silence.UNREACHABLE, {"kernels": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000}),
    "half an answer": (Silence.UNREACHABLE, {"kernels": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n["}),
    "hanging up": (Silence.UNREACHABLE, {"kernels": hanging_up}),
}


@pytest.mark.parametrize("kind, answers", BAD.values(), ids=BAD)
async def test_what_is_no_answer_is_told_once_a_sweep_and_never_raised(kind, answers, caplog):
    machine = Machine(**answers)
    async with (
        machine.listening() as described,
        probe(timeout_seconds=0.2 if kind is Silence.SLOW else 5) as servers,
    ):
        for sweep in (1, 2):
            await servers.refresh()
            for _ in range(2):
                assert await servers.work(described) is None
            assert servers.silent == {kind: 2}
            warnings = [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
            assert len(warnings) == sweep
            assert kind.value in warnings[-1].getMessage()
            assert len(warnings[-1].getMessage()) < 700
    assert TOKEN not in caplog.text


HALVES = {
    "terminals are forbidden": reply(403),
    "terminals are broken": reply(500, b"Traceback"),
    "terminals are a page": reply(200, b"<html>", "Content-Type: text/html"),
    "terminals are not there": reply(404),
    "terminals are none": reply(200, b"null"),
    "terminals are objects": reply(200, {}),
    "terminals make no sense": reply(200, [{}]),
    "terminals are redirected": reply(302, b"", "Location: /hub/login"),
    "terminals never come": mute,
    "terminals hang up": hanging_up,
    "terminals have no end": endless,
}


@pytest.mark.parametrize("terminals", HALVES.values(), ids=HALVES)
async def test_a_busy_kernel_is_heard_whatever_is_said_of_terminals(terminals, caplog):
    """A server's authorizer may forbid them; the computation would be lost."""
    machine = Machine(kernels=reply(200, [KERNEL]), terminals=terminals)
    seconds = 0.3 if terminals is mute else 5
    async with machine.listening() as described, probe(timeout_seconds=seconds) as servers:
        work = await servers.work(described)
    assert (work.busy, work.last_execution) == (1, NOW)
    is_whole = terminals in (reply(404), reply(200, b"null"))
    assert work.is_partial is not is_whole
    assert ("reported only a part of its activity" in caplog.text) is not is_whole


async def test_a_terminal_is_heard_where_kernels_are_forbidden(caplog):
    machine = Machine(
        kernels=reply(403), terminals=reply(200, [{"name": "1", "last_activity": KERNEL["last_activity"]}])
    )
    async with machine.listening() as described, probe() as servers:
        work = await servers.work(described)
    assert work == Work(busy=0, connections=0, last_execution=NOW, is_partial=True)


async def test_a_server_that_does_not_listen_is_asked_once():
    async with Machine(kernels=hanging_up).listening() as described, probe() as servers:
        assert await servers.work(described) is None
        assert servers.silent == {Silence.UNREACHABLE: 1}


async def test_each_kind_is_told_for_itself(caplog):
    async with Machine(kernels=reply(403)).listening() as described, probe() as servers:
        await servers.work(described)
        await servers.work(at(None))
        await servers.work(at(f"http://127.0.0.1:{free_port()}/"))
        await servers.work(at("http://no-such-host.invalid:8888/"))
    assert servers.silent == {Silence.REFUSED: 1, Silence.NO_ADDRESS: 1, Silence.UNREACHABLE: 2}
    assert [entry.levelname for entry in caplog.records].count("WARNING") == 3
    assert "grant the scope admin:server_state" in caplog.text


async def test_no_redirect_takes_the_token_elsewhere():
    elsewhere = Machine(kernels=reply())
    async with elsewhere.listening() as other:
        to = reply(307, b"", f"Location: {other.state['url']}api/kernels")
        async with Machine(kernels=to).listening() as described, probe() as servers:
            assert await servers.work(described) is None
    assert elsewhere.requests == []


async def test_a_cookie_is_not_given_back():
    machine = Machine(kernels=reply(200, [], "Set-Cookie: visitor=culler; Path=/"), terminals=reply())
    async with machine.listening() as described, probe() as servers:
        by_name = at(described.state["url"].replace("127.0.0.1", "localhost"))
        assert await servers.work(by_name) == NOTHING
        assert await servers.work(by_name) == NOTHING
    assert len(machine.requests) == 4
    assert "visitor" not in "".join(machine.requests)


async def test_the_answer_may_be_as_long_as_it_may_be_and_no_longer():
    body = b"[]".rjust(LONGEST_ANSWER)
    for content, work in ((body, NOTHING), (b" " + body, None)):
        async with Machine(kernels=reply(200, content)).listening() as described, probe() as servers:
            assert await servers.work(described) == work


async def test_no_more_than_so_many_are_asked_at_once():
    go, arrived = asyncio.Event(), asyncio.Semaphore(0)

    async def when_told(writer):
        arrived.release()
        await go.wait()
        writer.write(reply())

    machine = Machine(kernels=when_told, terminals=reply())
    async with machine.listening() as described, probe(concurrency=3) as servers:
        probed = asyncio.gather(*(servers.work(described) for _ in range(10)))
        for _ in range(3):
            await arrived.acquire()
        go.set()
        assert await probed == [NOTHING] * 10
    assert machine.peak == 3


async def test_waiting_for_ones_turn_takes_nothing_from_ones_time():
    async def soon(writer):
        await asyncio.sleep(0.15)
        writer.write(reply())

    async with (
        Machine(kernels=soon).listening() as described,
        probe(concurrency=1, timeout_seconds=0.4) as servers,
    ):
        assert await asyncio.gather(*(servers.work(described) for _ in range(5))) == [NOTHING] * 5


async def test_the_routes_are_those_of_the_last_refresh(caplog):
    async with Machine(kernels=reply()).listening() as described:
        hidden = replace(server("ada"), raw={"url": "/user/ada/"})
        answers = [
            HubForbidden("The API token lacks the scope proxy"),
            {("ada", ""): described.state["url"][:-10]},
            {},
        ]

        async def routes():
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        async with probe(routes=routes) as servers:
            for work in (None, NOTHING, None):
                await servers.refresh()
                assert await servers.work(hidden) == work
        assert "lacks the scope proxy" in caplog.text


def test_the_token_is_not_shown():
    assert TOKEN not in repr(ProbeSettings(token=TOKEN))


@pytest.mark.hub
async def test_with_internal_ssl_servers_are_known_by_an_authority_of_their_own(tmp_path, caplog):
    app = JupyterHub(internal_ssl=True, internal_certs_location=str(tmp_path))
    app.init_internal_ssl()
    pair = Certipy(store_dir=str(tmp_path)).create_signed_pair(
        "user-ada", "notebooks-ca", alt_names=["IP:127.0.0.1"]
    )
    server_side = make_ssl_context(
        pair["files"]["key"],
        pair["files"]["cert"],
        cafile=app.internal_trust_bundles["notebooks-ca"],
        purpose=ssl.Purpose.CLIENT_AUTH,
    )
    machine = Machine(kernels=reply(), terminals=reply())
    async with machine.listening(server_side) as described:
        async with probe(ssl_context=servers_ssl_context(tmp_path)) as servers:
            assert await servers.work(described) == NOTHING
        for wrong in (internal_ssl_context(tmp_path), None):
            async with probe(ssl_context=wrong) as servers:
                assert await servers.work(described) is None
                assert servers.silent == {Silence.UNREACHABLE: 1}
            assert "certificate" in caplog.text
            caplog.clear()


# --- Tokens ---


class Mint:
    """A hub that makes tokens; ``trouble`` is raised instead."""

    trouble = None

    def __init__(self):
        self.made = []

    async def new_token(self, user, *, scopes, lifetime, note):
        if self.trouble:
            raise self.trouble
        self.made.append((user, scopes, lifetime))
        assert note.startswith("Server at ")
        return f"token-{len(self.made)}"


def shown(machine):
    """The tokens that were shown, one for each time that the server was asked."""
    tokens = [
        line for request in machine.requests for line in request.splitlines() if "Authorization" in line
    ]
    return [line.removeprefix("Authorization: token ") for line in tokens[::2]]


def with_token(described, token="token-in-the-state"):
    return replace(described, access_token=token)


async def told(has):
    """What the culler's token may do."""
    return has


@pytest.mark.parametrize(
    "has", [frozenset(), {"admin:server_state"}, {"access:servers"}, {"tokens"}, {"access:servers", "tokens"}]
)
async def test_a_server_is_shown_the_token_of_its_state_whatever_else_there_is(has, caplog):
    caplog.set_level(logging.DEBUG)
    mint, machine = Mint(), Machine(kernels=reply(), terminals=reply())
    async with (
        machine.listening() as described,
        probe(tokens=ServerTokens(mint, lambda: NOW), scopes=lambda: told(has)) as servers,
    ):
        await servers.refresh()
        assert await servers.work(with_token(described)) == NOTHING
    assert (shown(machine), mint.made) == (["token-in-the-state"], [])
    assert "token-in-the-state" not in caplog.text


@pytest.mark.parametrize("is_refused", [True, False])
async def test_the_token_of_the_state_is_in_no_log(is_refused, caplog):
    caplog.set_level(logging.DEBUG)
    machine = Machine(kernels=reply(403 if is_refused else 500), terminals=reply(403))
    async with machine.listening() as described, probe() as servers:
        assert await servers.work(with_token(described)) is None
    assert "token-in-the-state" not in caplog.text
    assert "token-in-the-state" in machine.requests[0]


@pytest.mark.parametrize(
    ("has", "own", "token"),
    [
        (frozenset(), TOKEN, None),
        ({"list:users", "delete:servers"}, TOKEN, None),
        ({"access:servers!group=a"}, TOKEN, TOKEN),
        ({"access:servers"}, TOKEN, TOKEN),
        ({"access:servers"}, "", None),  # it may open servers, but nobody has ordered to show it to them
        ({"access:servers", "tokens"}, TOKEN, "token-1"),
        # The scope of an earlier version goes on to work: what runs is not lost with an upgrade.
        ({"tokens"}, "", "token-1"),
    ],
)
async def test_without_a_token_in_its_state(has, own, token, caplog):
    machine = Machine(kernels=reply(), terminals=reply())
    async with (
        machine.listening() as described,
        probe(token=own, tokens=ServerTokens(Mint(), lambda: NOW), scopes=lambda: told(has)) as servers,
    ):
        await servers.refresh()
        assert await servers.work(described) == (NOTHING if token else None)
        assert servers.silent == ({} if token else {Silence.NO_TOKEN: 1})
    assert shown(machine) == ([token] if token else [])
    assert ("KubeSpawner.save_access_token" in caplog.text) is (token is None)


async def test_scopes_that_are_not_known_are_asked_for_at_each_sweep():
    answers = [HubForbidden("not valid for this hub"), HubUnavailable("503"), frozenset({"access:servers"})]

    async def scopes():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    machine = Machine(kernels=reply(), terminals=reply())
    async with machine.listening() as described, probe(scopes=scopes) as servers:
        for error in (HubForbidden, HubUnavailable):
            with pytest.raises(error):
                await servers.refresh()
        await servers.refresh()
        assert await servers.work(described) == NOTHING


async def test_routes_are_read_only_with_the_scope_for_it(caplog):
    probed = []

    async def routes():
        probed.append(1)
        return {}

    for has in ({"proxy"}, {"list:users"}):
        async with probe(routes=routes, scopes=functools.partial(told, has)) as servers:
            await servers.refresh()
    assert probed == [1]
    assert not caplog.records


# --- Tokens that the culler makes, with a scope of an earlier version ---


async def test_a_server_is_shown_a_token_that_opens_only_itself_for_as_long_as_it_lasts():
    now = NOW
    mint, machine = Mint(), Machine(kernels=reply(), terminals=reply())
    async with machine.listening() as described, probe(tokens=ServerTokens(mint, lambda: now)) as servers:
        for passed in (timedelta(), LIFETIME - LAST_USE - timedelta(seconds=1), timedelta(seconds=1)):
            now += passed
            await servers.refresh()
            assert await servers.work(described) == NOTHING
        other = replace(described, user="bob", name="gpu")
        assert await servers.work(other) == NOTHING
    assert shown(machine) == ["token-1", "token-1", "token-2", "token-3"]
    assert mint.made[1:] == [
        ("ada", ["access:servers!server=ada/"], LIFETIME),
        ("bob", ["access:servers!server=bob/gpu"], LIFETIME),
    ]


async def test_few_tokens_are_made_at_once():
    go, arrived = asyncio.Event(), asyncio.Semaphore(0)

    class SlowMint(Mint):
        in_flight = peak = 0

        async def new_token(self, *arguments, **options):
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            arrived.release()
            await go.wait()
            self.in_flight -= 1
            return await super().new_token(*arguments, **options)

    mint = SlowMint()
    tokens = ServerTokens(mint, lambda: NOW)
    made = asyncio.gather(*(tokens.token_for(at(None, f"user-{number}")) for number in range(10)))
    for _ in range(AT_ONCE):
        await arrived.acquire()
    go.set()
    assert len(set(await made)) == 10
    assert mint.peak == AT_ONCE


async def test_a_token_that_is_refused_is_made_anew():
    mint, machine = Mint(), Machine(kernels=reply(403), terminals=reply(403))
    async with machine.listening() as described, probe(tokens=ServerTokens(mint, lambda: NOW)) as servers:
        assert await servers.work(described) is None
        machine.answers |= {"kernels": reply(), "terminals": reply()}
        assert await servers.work(described) == NOTHING
    assert "token-2" in machine.requests[-1]
    assert TOKEN not in "".join(machine.requests)


async def test_a_token_that_cannot_be_made_is_told(caplog):
    mint, machine = Mint(), Machine(kernels=reply())
    mint.trouble = HubForbidden("The API token lacks the scope tokens")
    async with machine.listening() as described, probe(tokens=ServerTokens(mint, lambda: NOW)) as servers:
        assert await servers.work(described) is None
    assert servers.silent == {Silence.NO_TOKEN: 1}
    assert machine.requests == []
    assert "lacks the scope tokens" in caplog.text
