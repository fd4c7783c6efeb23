"""The network swallows the packets of open watches: the real API server's connections stay open and say nothing."""

import asyncio
from contextlib import suppress

import pytest
import yaml

pytestmark = pytest.mark.cluster


class Relay:
    """Passes bytes to a server; `mute` makes the connections that are open now swallow what the server sends."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._passing = asyncio.Event()
        self._passing.set()
        self._connections = set()

    def mute(self) -> None:
        """Swallow what comes on the connections that are open; those that are opened later pass everything."""
        self._passing.clear()
        self._passing = asyncio.Event()
        self._passing.set()

    async def serve(self, reader, writer) -> None:
        """Pass the bytes of one connection, both ways, until either side closes it."""
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        passing = self._passing
        ways = [
            asyncio.create_task(_pass(reader, to_server, always)),
            asyncio.create_task(_pass(from_server, writer, passing)),
        ]
        self._connections.add(asyncio.current_task())
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            writer.close()
            to_server.close()
            self._connections.discard(asyncio.current_task())

    async def close(self) -> None:
        """End all connections."""
        closing = [*self._connections]
        for connection in closing:
            connection.cancel()
        await asyncio.gather(*closing, return_exceptions=True)


always = asyncio.Event()
always.set()


async def _pass(reader, writer, passing) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(65536):
            if passing.is_set():
                writer.write(chunk)
                await writer.drain()


@pytest.fixture
async def relay(hub, tmp_path):
    """A relay before the API server, to which the hub's kubeconfig leads."""
    file = tmp_path / "kubeconfig"
    config = yaml.safe_load(file.read_text())
    cluster = config["clusters"][0]["cluster"]
    host, _, port = cluster["server"].rpartition(":")
    relay = Relay(int(port))
    listener = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    cluster["server"] = f"{host}:{listener.sockets[0].getsockname()[1]}"
    file.write_text(yaml.safe_dump(config))
    yield relay
    listener.close()
    await relay.close()


async def test_starts_and_stops_lose_nothing_while_watches_are_silent(hub, relay, objects, caplog):
    """Each is ready long before the client library would notice the silence, after 75 s."""
    async with hub(start_timeout=60) as hub:
        await hub.start_server("bob")
        await hub.wait_ready("bob")
        relay.mute()

        await hub.start_server("ada")
        await hub.wait_ready("ada", seconds=40)
        assert "opening the watch again: it has not shown a change of" in caplog.text
        caplog.clear()
        relay.mute()

        await hub.stop_server("ada")
        assert set(objects("pods")) == {"jupyter-bob"}
        assert "opening the watch again: it has not shown a change of" in caplog.text
