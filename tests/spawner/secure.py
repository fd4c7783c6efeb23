"""The environment that ``internal_ssl`` needs in a mini cluster: a DNS for Services, TLS servers and a TLS hub."""

import asyncio
import socket
import ssl
from base64 import b64decode
from pathlib import Path

import aiohttp
from aiohttp import web
from jupyterhub.utils import make_ssl_context
from tornado.httpclient import AsyncHTTPClient

from devkit.minicluster.cluster import MiniCluster
from devkit.minicluster.listener import reset
from devkit.minicluster.resources import PODS, SECRETS, SERVICES
from devkit.minicluster.runtime import Exit, StartError
from devkit.testing.realhub import RealHub
from k8s_hub.objects.keys import Key, key_of, labels_of

ZONE = ".svc.cluster.local"


def resolve(cluster, host):
    """Return the address of the pod that a Service's DNS name leads to; None where there is none."""
    name, _, namespace = host.removesuffix(ZONE).partition(".")
    service = cluster.database.get(SERVICES, Key(namespace, name))
    if service is None:
        return None
    chosen = service["spec"]["selector"].items()
    pods = (pod for pod in cluster.database.all(PODS, namespace) if chosen <= labels_of(pod).items())
    return next((pod["status"]["podIP"] for pod in pods if pod["status"].get("podIP")), None)


def serve_names(monkeypatch, cluster):
    """Let this process resolve the names of the cluster's Services, as its DNS does."""
    ordinary = asyncio.BaseEventLoop.getaddrinfo

    async def getaddrinfo(loop, host, *args, **kwargs):
        if isinstance(host, str) and host.endswith(ZONE):
            host = resolve(cluster, host)
            if host is None:
                raise socket.gaierror("Name or service not known")
        return await ordinary(loop, host, *args, **kwargs)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    # Where it is installed, aiohttp asks a library of its own.
    monkeypatch.setattr(aiohttp.connector, "DefaultResolver", aiohttp.ThreadedResolver)


class SecureContainer:
    """Answers every request of whoever has a certificate that it trusts."""

    def __init__(self):
        self._server = web.Server(self._answer, access_log=None)
        self._exit = asyncio.get_running_loop().create_future()

    async def open(self, order, context):
        self._listening = await asyncio.get_running_loop().create_server(
            self._server, order.address, order.port, ssl=context
        )

    async def wait(self):
        return await asyncio.shield(self._exit)

    async def stop(self, grace_seconds):
        self._listening.close()
        for connection in self._server.connections:
            if connection.transport is not None:
                reset(connection.transport)
        await self._server.shutdown()
        if not self._exit.done():
            self._exit.set_result(Exit.of(0))

    async def _answer(self, request):
        return web.json_response({"version": "secure"})


class SecureRuntime:
    """Starts servers with the files of the Secret that the pod mounts; without them it does not, as a kubelet."""

    def __init__(self, directory):
        self.cluster: MiniCluster
        self._directory = directory

    async def start(self, order):
        key = key_of(order.pod)
        folder = self._mounted(order.pod, key.namespace)
        files = {one["name"]: one["value"] for one in order.container["env"] if "value" in one}
        path = order.container["volumeMounts"][-1]["mountPath"]
        keyfile, certfile, cafile = (
            folder / files[f"JUPYTERHUB_SSL_{name}"].removeprefix(path)
            for name in ("KEYFILE", "CERTFILE", "CLIENT_CA")
        )
        context = make_ssl_context(keyfile, certfile, cafile=cafile, purpose=ssl.Purpose.CLIENT_AUTH)
        container = SecureContainer()
        await container.open(order, context)
        return container

    def _mounted(self, pod, namespace) -> Path:
        name = pod["spec"]["volumes"][-1]["secret"]["secretName"]
        secret = self.cluster.database.get(SECRETS, Key(namespace, name))
        if secret is None or not secret.get("data"):
            raise StartError("CreateContainerConfigError", f'secret "{name}" not found')
        folder = self._directory / secret["metadata"]["uid"]
        folder.mkdir(parents=True)
        for file, content in secret["data"].items():
            (folder / file).write_bytes(b64decode(content))
        return folder


class SecureHub(RealHub):
    """A hub with ``internal_ssl``; its REST API is asked with the hub's own certificate."""

    @property
    def url(self):
        return super().url.replace("http:", "https:")

    async def __aenter__(self):
        await super().__aenter__()
        await self._session.close()
        context = make_ssl_context(
            self.app.internal_ssl_key, self.app.internal_ssl_cert, cafile=self.app.internal_ssl_ca
        )
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
        return self

    async def kill(self):
        await super().kill()
        # JupyterHub 5 has given its certificate to all clients of this process.
        AsyncHTTPClient.configure(None)
