"""Objects and paths that the tests use, and a runtime that does what a test says."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp

from devkit.minicluster.cluster import ClusterOptions, MiniCluster
from devkit.minicluster.runtime import Exit
from tests.conformance.client import Client

PODS = "/api/v1/namespaces/default/pods"
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
SECRETS = "/api/v1/namespaces/default/secrets"
EVENTS = "/api/v1/namespaces/default/events"


def pod(name="a", *, container=None, **spec):
    main = {"name": "notebook", "image": "example/notebook:1"} | (container or {})
    return {"metadata": {"name": name}, "spec": {"containers": [main], **spec}}


def pod_with_claim(name="a", claim_name="home", *, container=None, **spec):
    mounts = {"volumeMounts": [{"name": "home", "mountPath": "/home/jovyan"}]}
    volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": claim_name}}]
    return pod(name, container=mounts | (container or {}), volumes=volumes, **spec)


def claim(name="home", **spec):
    requests = {"requests": {"storage": "1Gi"}}
    return {
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": requests, **spec},
    }


def secret(name="a"):
    return {"metadata": {"name": name}, "stringData": {"token": "example"}}


def main_state(found):
    """The state of the first container: its name, and what is said of it."""
    statuses = found["status"].get("containerStatuses")
    return next(iter(statuses[0]["state"].items())) if statuses else ("none", {})


def is_waiting_for(reason):
    return lambda found: main_state(found)[1].get("reason") == reason


def is_in(phase):
    return lambda found: found["status"]["phase"] == phase


@asynccontextmanager
async def running_cluster(directory, runtime="listener", **options):
    """A cluster and its client."""
    async with (
        MiniCluster(directory=directory, runtime=runtime, options=ClusterOptions(**options)) as cluster,
        aiohttp.ClientSession() as session,
    ):
        yield cluster, Client(session=session, url=cluster.url, token=cluster.token)


class ScriptedContainer:
    """Ends by itself after the script's seconds, or when it is stopped."""

    def __init__(self, seconds, how):
        self._exit = asyncio.get_running_loop().create_future()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._finish, how)
        self.graces = []

    async def wait(self):
        return await asyncio.shield(self._exit)

    async def stop(self, grace_seconds):
        self.graces.append(grace_seconds)
        self._timer.cancel()
        self._finish(Exit.of(143))

    def _finish(self, how):
        if not self._exit.done():
            self._exit.set_result(how)


class ScriptedRuntime:
    """Starts what the script says, in order: (seconds, Exit), or an error to raise; then what runs for ever."""

    def __init__(self, *script, start_seconds=0):
        self._script = list(script)
        self._start_seconds = start_seconds
        self.started = []

    async def start(self, order):
        await asyncio.sleep(self._start_seconds)
        step = self._script.pop(0) if self._script else (1e9, Exit.of(0))
        if isinstance(step, Exception):
            raise step
        container = ScriptedContainer(*step)
        self.started.append((order, container))
        return container
