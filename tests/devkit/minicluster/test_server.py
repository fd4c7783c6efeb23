"""The cluster as a command's work."""

import asyncio
import json

import pytest

from devkit.minicluster.errors import DirectoryError, PortTakenError
from devkit.minicluster.server import serve


async def served(directory, port=0):
    """What the kubeconfig says of a cluster that ran for a moment: url and token."""
    ready = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(serve(directory, port, runtime="listener", on_ready=ready.set_result))
    await asyncio.wait({ready, running}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        return running.result()
    content = json.loads(ready.result().read_text())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    return content["clusters"][0]["cluster"]["server"], content["users"][0]["user"]["token"]


async def test_a_cluster_that_is_started_again_lets_the_same_clients_in(tmp_path):
    first = await served(tmp_path / "new")
    port = int(first[0].rsplit(":", 1)[1])
    assert await served(tmp_path / "new", port) == first


async def test_the_token_is_for_its_owner_alone(tmp_path):
    await served(tmp_path)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


async def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryError, match=f"The directory {tmp_path}/file/below cannot be used: "):
        await served(tmp_path / "file" / "below")


async def test_a_port_that_is_taken_is_named(tmp_path, unused_tcp_port_factory):
    port = unused_tcp_port_factory()
    taken = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", port)
    async with taken:
        with pytest.raises(PortTakenError, match=f"Nothing can listen on 127.0.0.1:{port}: "):
            await served(tmp_path, port)
