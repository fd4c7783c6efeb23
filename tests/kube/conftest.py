"""A mini cluster without a node, in the test's own loop, and the ways to it; and servers that play an odd one."""

import asyncio
import os
import signal
import sys
import threading
from contextlib import AsyncExitStack
from importlib.util import module_from_spec
from pathlib import Path

import pytest
from aiohttp import web

from devkit.minicluster.cluster import ClusterOptions, MiniCluster
from devkit.minicluster.faults import FaultRule
from devkit.testing.eventually import eventually
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.connection import Connection
from k8s_hub.kube.core import decoding
from k8s_hub.kube.core.resources import PODS
from k8s_hub.kube.informer import Informer
from tests.kube.samples import NAMESPACE, project


@pytest.fixture
async def cluster(tmp_path):
    """Pods stay as they are created; what happens to them is written to ``cluster.database``."""
    options = ClusterOptions(namespaces=(NAMESPACE, "other"))
    async with MiniCluster(directory=tmp_path / "cluster", runtime="none", options=options) as cluster:
        yield cluster


@pytest.fixture
def settings(cluster, tmp_path):
    path = tmp_path / "kubeconfig"
    cluster.write_kubeconfig(path)
    return ConnectionSettings(kubeconfig=str(path))


@pytest.fixture
async def connection(settings):
    connection = await Connection.open(settings)
    yield connection
    await connection.close()


@pytest.fixture
def api(connection):
    return KubeApi(connection)


@pytest.fixture
async def informer(api):
    """Not started, so that the task begins in the test's own (virtual) time."""
    informer = Informer(api, PODS, NAMESPACE, project=project, index=lambda kept: [kept["owner"]])
    yield informer
    await informer.close()


@pytest.fixture
def counted(cluster):
    """Count the calls that reach the server: ``counted("list")``; a rule that never strikes sees them all."""
    calls = []

    class Witness(FaultRule):
        def matches(self, call):
            calls.append(call)
            return False

    cluster.faults.add(Witness(effect=None))
    return lambda verb: sum(call.verb == verb for call in calls)


@pytest.fixture
def soon():
    """A deadline ten seconds from now."""
    return lambda seconds=10: asyncio.get_running_loop().time() + seconds


@pytest.fixture
async def hangs(tmp_path):
    """A shell command that hangs; its processes end with the test."""
    pids = tmp_path / "pids"
    pids.touch()
    yield f'echo $$ >> "{pids}"; exec sleep 600'
    for pid in map(int, pids.read_text().split()):
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists())
    # asyncio's threads that wait for them tell the loop.
    await eventually(lambda: not any("waitpid" in thread.name for thread in threading.enumerate()))


class Server:
    """An HTTP server that answers every request with ``answer(request)`` and remembers the requests."""

    def __init__(self, answer):
        self.requests = []
        self._answer = answer

    async def handle(self, request):
        self.requests.append(request)
        return await self._answer(request)


@pytest.fixture
async def serve():
    async with AsyncExitStack() as stack:

        async def serve(answer, tls=None):
            server = Server(answer)
            http = web.Server(server.handle, handler_cancellation=True)
            stack.push_async_callback(http.shutdown, 0)
            listening = await asyncio.get_running_loop().create_server(http, "127.0.0.1", 0, ssl=tls)
            stack.callback(listening.close)
            port = listening.sockets[0].getsockname()[1]
            server.url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
            return server

        yield serve


@pytest.fixture
async def connect():
    opened = []

    async def connect(settings):
        opened.append(await Connection.open(settings))
        return opened[-1]

    yield connect
    for connection in opened:
        await connection.close()


@pytest.fixture(params=["orjson", "standard library"])
def decoder(request, monkeypatch):
    """Decode with orjson, and as where it is not installed; everywhere."""
    if request.param == "standard library":
        with monkeypatch.context() as without:
            without.setitem(sys.modules, "orjson", None)
            module = module_from_spec(decoding.__spec__)
            decoding.__spec__.loader.exec_module(module)
        assert not hasattr(module, "orjson")
        monkeypatch.setattr(decoding, "loads", module.loads)
        monkeypatch.setattr(decoding, "dumps", module.dumps)
    return decoding


@pytest.fixture
def played(serve, connect):
    """A function that returns the calls of a server with these lists, one after the other, and these lines of a watch.

    The last list comes again and again. The lines come in the first watch, which stays open, as others do in silence.
    """

    async def play(*lists, lines=()):
        lists_left, lines_left = list(lists), list(lines)

        async def answer(request):
            if "watch" not in request.query:
                body = lists_left.pop(0) if len(lists_left) > 1 else lists_left[0]
                return web.Response(body=body, content_type="application/json")
            stream = web.StreamResponse()
            await stream.prepare(request)
            while lines_left:
                await stream.write(lines_left.pop(0) + b"\n")
            await asyncio.sleep(3600)
            return stream

        return KubeApi(await connect(ConnectionSettings(host=(await serve(answer)).url)))

    return play
