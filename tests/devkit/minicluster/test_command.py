import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from devkit.minicluster import command
from devkit.minicluster.command import serve
from devkit.minicluster.errors import DirectoryError, PortTakenError


@pytest.fixture
def cluster(tmp_path):
    """A cluster as a process; killed when the test forgets to stop it."""
    words = [sys.executable, "-m", "devkit", "cluster", "--directory", str(tmp_path), "--pods", "listener"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_cluster_prints_its_kubeconfig_serves_and_ends_when_told(tmp_path, cluster):
    kubeconfig = Path(cluster.stdout.readline().strip())
    assert kubeconfig == tmp_path / "kubeconfig"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600

    content = json.loads(kubeconfig.read_text())
    url, token = content["clusters"][0]["cluster"]["server"], content["users"][0]["user"]["token"]
    request = Request(f"{url}/api/v1/namespaces/default/pods", headers={"Authorization": f"Bearer {token}"})
    with urlopen(request) as reply:
        assert json.load(reply)["items"] == []

    cluster.send_signal(signal.SIGTERM)
    assert cluster.wait(timeout=60) == 143


def options(*flags):
    return command._options(command._parser().parse_args(["--directory", "x", *flags]))


def test_images_can_be_missing():
    assert options("--missing-image", "a:1", "--missing-image", "b").missing_images == {"a:1", "b"}
    assert options().missing_images == frozenset()


def test_a_cluster_can_fit_every_pod():
    assert options("--fits-all").node.fits_all
    assert options("--fits-all").storage_classes is None
    assert not options().node.fits_all
    assert "standard" in options().storage_classes


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
