"""Featherweight containers: a listener in the cluster's own loop that answers as a ready server does."""

import asyncio

from aiohttp import web

from devkit.minicluster.door import Door
from devkit.minicluster.errors import PortTakenError
from devkit.minicluster.runtime import Exit, Order, StartError


class ListenerContainer:
    """A listener on the pod's address until it is stopped, or ended by a test."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    async def wait(self) -> Exit:
        """Return when it was stopped or ended."""
        return await asyncio.shield(self._exit)

    async def stop(self, grace_seconds: float) -> None:
        """End it; a listener needs no grace."""
        del grace_seconds
        await self.end(Exit.of(0))

    async def end(self, how: Exit) -> None:
        """End it as if its process had exited like this; the first end counts."""
        await self._door.shut()
        if not self._exit.done():
            self._exit.set_result(how)


class ListenerRuntime:
    """Starts listeners; hundreds are cheap. ``GET <anything>/api`` is answered, all else is 404."""

    async def start(self, order: Order) -> ListenerContainer:
        """Listen on the pod's address."""
        door = Door(_answer, order.address, order.port)
        try:
            await door.open()
        except PortTakenError as error:
            raise StartError("RunContainerError", str(error)) from error
        return ListenerContainer(door)


async def _answer(request: web.BaseRequest) -> web.Response:
    if request.path.endswith("/api"):
        return web.json_response({"version": "listener"})
    return web.json_response({"message": "a listener serves nothing but /api"}, status=404)
