import json

import aiohttp
import pytest
from aiohttp import web
from jupyter_server.services.kernels.connection.base import (
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)

from devkit.demo.failure import DemoError
from devkit.demo.kernel import PROTOCOL, Kernel, decode, encode


def test_jupyter_server_reads_what_we_encode():
    channel, parts = deserialize_msg_from_ws_v1(encode("shell", {"msg_id": "1"}, {"code": "é"}))
    assert channel == "shell"
    assert [json.loads(part) for part in parts] == [{"msg_id": "1"}, {}, {}, {"code": "é"}]


def message(message_type, content, *, of, buffers=()):
    """As jupyter_server sends it."""
    parts = [{"msg_type": message_type}, {"msg_id": of}, {}, content]
    encoded = [json.dumps(part).encode() for part in parts]
    return serialize_msg_to_ws_v1([*encoded, *buffers], "iopub")


def test_we_read_what_jupyter_server_encodes():
    decoded = decode(message("stream", {"text": "é"}, of="1", buffers=[b"\\x00raw"]))
    assert decoded["header"] == {"msg_type": "stream"}
    assert decoded["parent_header"] == {"msg_id": "1"}
    assert decoded["content"] == {"text": "é"}


@pytest.fixture
async def connect():
    """A function that connects to a kernel that answers each request with these messages, or closes."""
    runners = []
    sessions = []

    async def connect_to(*answers, protocols=(PROTOCOL,)):
        async def kernel(request):
            socket = web.WebSocketResponse(protocols=protocols)
            await socket.prepare(request)
            asked = await socket.receive_bytes()
            request_id = decode(asked)["header"]["msg_id"]
            await socket.send_bytes(message("stream", {"text": "somebody else's"}, of="other"))
            for message_type, content in answers:
                await socket.send_bytes(message(message_type, content, of=request_id))
            await socket.close(code=1001)
            return socket

        runner = web.ServerRunner(web.Server(kernel))
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        session = aiohttp.ClientSession()
        sessions.append(session)
        port = runner.addresses[0][1]
        return await session.ws_connect(f"http://127.0.0.1:{port}/", protocols=[PROTOCOL])

    yield connect_to
    for session in sessions:
        await session.close()
    for runner in runners:
        await runner.cleanup()


IDLE = ("status", {"execution_state": "idle"})


async def test_a_cell_returns_what_it_printed(connect):
    busy = ("status", {"execution_state": "busy"})
    kernel = Kernel(await connect(busy, ("stream", {"text": "4"}), ("stream", {"text": "2\n"}), IDLE))
    assert await kernel.run("print(42)") == "42\n"


async def test_a_cell_that_fails_is_an_error(connect):
    kernel = Kernel(await connect(("error", {"ename": "NameError", "evalue": "x is not defined"}), IDLE))
    with pytest.raises(DemoError, match="the cell failed: NameError: x is not defined"):
        await kernel.run("x")


async def test_a_websocket_that_is_closed_is_an_error(connect):
    kernel = Kernel(await connect())
    with pytest.raises(DemoError, match="the kernel's websocket is gone: CLOSE 1001"):
        await kernel.run("1")


async def test_a_proxy_that_drops_the_subprotocol_is_named(connect):
    socket = await connect(protocols=())
    with pytest.raises(DemoError, match=r"speaks None, not v1\.kernel\.websocket"):
        Kernel(socket)
    await socket.send_bytes(encode("shell", {"msg_id": "1"}, {}))
