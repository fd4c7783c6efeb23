"""A listening socket: open, shut and open again on the same port."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from socket import SO_LINGER, SOL_SOCKET
from struct import pack

from aiohttp import web

from devkit.minicluster.errors import PortTakenError


class Door:
    """Where clients come in. Shut, it refuses connections and has reset those that were open."""

    def __init__(
        self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], host: str, port: int
    ) -> None:
        self._server = web.Server(handle, handler_cancellation=True, access_log=None)
        self._host = host
        #: 0 until it is open for the first time, if the system may choose.
        self.port = port
        self._listening: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; an open door stays open."""
        if self._listening is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(self._server, self._host, self.port, backlog=1024)
        except OSError as error:
            # asyncio's own text repeats the address.
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise PortTakenError(f"Nothing can listen on {self._host}:{self.port}: {reason}.") from error
        self.port = self._listening.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Stop listening and reset every connection; returns when no request is being handled."""
        if self._listening is None:
            return
        self._listening.close()
        self._listening = None
        for connection in self._server.connections:
            if connection.transport is not None:
                reset(connection.transport)
        while self._server.connections:  # noqa: ASYNC110 - aiohttp has no event for its last connection
            await asyncio.sleep(0)


def reset(transport: asyncio.BaseTransport) -> None:
    """End a connection as a crash does: with RST, and what was written last may not arrive."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
