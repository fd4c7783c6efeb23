"""A listening socket that can be reopened, and lightweight containers that only listen."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from socket import SO_LINGER, SOL_SOCKET
from struct import pack

from aiohttp import web

from devkit.minicluster.errors import PortTakenError
from devkit.minicluster.runtime import Exit, Order, StartError


class Listener:
    """A listening socket. Closing it resets open connections and refuses new ones."""

    def __init__(
        self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], host: str, port: int
    ) -> None:
        self._server = web.Server(handle, handler_cancellation=True, access_log=None)
        self._host = host
        #: 0 before the first opening, if any free port will do.
        self.port = port
        self._listening: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen, if it is closed."""
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

    async def close(self) -> None:
        """Stop listening, reset every connection, and wait until no request is handled."""
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
    """End a connection with RST, like a crash. The last data may be lost."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


class ListenerContainer:
    """A container that listens on the pod's address until it is stopped, or ended by a test."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    async def wait(self) -> Exit:
        """Return when it was stopped or ended."""
        return await asyncio.shield(self._exit)

    async def stop(self, grace_seconds: float) -> None:
        """Stop at once, without a grace period."""
        del grace_seconds
        await self.end(Exit.of(0))

    async def end(self, how: Exit) -> None:
        """End it as if its process had exited so. Only the first call counts."""
        await self._listener.close()
        if not self._exit.done():
            self._exit.set_result(how)


class ListenerRuntime:
    """Starts listeners, hundreds if needed. They answer ``GET <anything>/api``, and 404 otherwise."""

    async def start(self, order: Order) -> ListenerContainer:
        """Listen on the pod's address."""
        listener = Listener(_answer, order.address, order.port)
        try:
            await listener.open()
        except PortTakenError as error:
            raise StartError("RunContainerError", str(error)) from error
        return ListenerContainer(listener)


async def _answer(request: web.BaseRequest) -> web.Response:
    if request.path.endswith("/api"):
        return web.json_response({"version": "listener"})
    return web.json_response({"message": "a listener serves nothing but /api"}, status=404)
