"""A client of a kernel's websocket with Jupyter's binary protocol v1, like JupyterLab."""

import json
import struct
import uuid
from itertools import pairwise
from typing import Any

import aiohttp

from devkit.demo.failure import DemoError

PROTOCOL = "v1.kernel.websocket.jupyter.org"
JSON_PARTS = ("header", "parent_header", "metadata", "content")


class Kernel:
    """A running kernel. It runs one cell at a time."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        if socket.protocol != PROTOCOL:
            raise DemoError(
                f"the kernel's websocket speaks {socket.protocol}, not {PROTOCOL}: a proxy dropped it"
            )
        self._socket = socket
        self._session = uuid.uuid4().hex

    async def run(self, code: str) -> str:
        """Run a cell and return its output; raise DemoError if it fails."""
        header = self._header("execute_request")
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        await self._socket.send_bytes(encode("shell", header, content))
        return await self._output_of(header["msg_id"])

    async def _output_of(self, request: str) -> str:
        printed = ""
        while True:
            message = decode(await self._receive())
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            match message["header"]["msg_type"]:
                case "stream":
                    printed += content["text"]
                case "error":
                    raise DemoError(f"the cell failed: {content['ename']}: {content['evalue']}")
                case "status" if content["execution_state"] == "idle":
                    return printed

    async def _receive(self) -> bytes:
        frame = await self._socket.receive()
        if frame.type is not aiohttp.WSMsgType.BINARY:
            raise DemoError(f"the kernel's websocket is gone: {frame.type.name} {self._socket.close_code}")
        return bytes(frame.data)

    def _header(self, message_type: str) -> dict[str, str]:
        return {
            "msg_id": uuid.uuid4().hex,
            "msg_type": message_type,
            "session": self._session,
            "username": "",
            "date": "",
            "version": "5.3",
        }


def encode(channel: str, header: dict[str, str], content: dict[str, Any]) -> bytes:
    """Return a message as offsets and parts: channel, header, parent, metadata, content."""
    parts = [channel.encode(), *(json.dumps(part).encode() for part in (header, {}, {}, content))]
    count = len(parts) + 1
    offsets = [8 * (count + 1)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    return struct.pack(f"<{count + 1}Q", count, *offsets) + b"".join(parts)


def decode(message: bytes) -> dict[str, Any]:
    """Return a message's JSON parts by name, without buffers."""
    (count,) = struct.unpack_from("<Q", message)
    offsets = struct.unpack_from(f"<{count}Q", message, 8)
    parts = [message[start:end] for start, end in pairwise(offsets)]
    return {name: json.loads(part) for name, part in zip(JSON_PARTS, parts[1:], strict=False)}
