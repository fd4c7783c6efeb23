"""A hub with the chart's configuration as a process on this machine, with the chart's culler as its service."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from devkit.chart.evaluation import CULLER
from devkit.chart.values import FILES, values_with
from devkit.demo.settings import free_port
from devkit.minicluster.cluster import MiniCluster
from devkit.minicluster.resources import CLAIMS, PODS
from devkit.testing.eventually import eventually
from devkit.testing.hubprocess import HubProcess

NAMESPACE = "default"  # of the mini cluster
KINDS = {"pods": PODS, "persistentvolumeclaims": CLAIMS}
BASE = Path(__file__).parent / "jupyterhub_config.py"
# What an admin who tries it out would set: idle servers go at once, and the cluster has no other scheduler.
QUICK = {
    "cull": {"timeout": 4, "every": 1},
    "scheduling": {"userScheduler": {"enabled": False}},
    "hub": {"config": {"JupyterHub": {"last_activity_interval": 1}}},
}


@asynccontextmanager
async def chart_hub(
    folder: Path,
    *names: str,
    kubeconfig: Path,
    namespace: str,
    more: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    **process: Any,
) -> AsyncIterator["ChartHub"]:
    """Run the hub of a release with these files of helm-values/, and `more` values on top."""
    values = values_with(*(FILES / f"{name}.yaml" for name in names), QUICK, more or {})
    _write(folder, values)
    port = free_port()
    given = {
        "CHART_VALUES": str(folder / "values.json"),
        "CHART_NAMESPACE": namespace,
        "CHART_FOLDER": str(folder),
        "CHART_CULLER_PORT": str(port),
        **(environment or {}),
    }
    async with HubProcess(
        folder, users=("ada",), kubeconfig=kubeconfig, base=BASE, environment=given, **process
    ) as hub:
        yield ChartHub(hub, port, values)


@asynccontextmanager
async def mini_cluster(
    folder: Path,
) -> AsyncIterator[tuple[Path, Callable[[str], Awaitable[dict[str, Any]]]]]:
    """Run a mini cluster; yield its kubeconfig, and a function that returns its objects by kind and name."""
    kubeconfig = folder / "kubeconfig"

    async with MiniCluster(directory=folder / "cluster", runtime="listener") as cluster:
        cluster.write_kubeconfig(kubeconfig)

        async def objects(plural: str) -> dict[str, Any]:
            found = cluster.database.all(KINDS[plural], NAMESPACE)
            return {obj["metadata"]["name"]: obj for obj in found}

        yield kubeconfig, objects


def _write(folder: Path, values: Mapping[str, Any]) -> None:
    folder.mkdir()
    (folder / "values.json").write_text(json.dumps(values))


class ChartHub:
    """The hub, with queries for tests."""

    def __init__(self, hub: HubProcess, culler_port: int, values: Mapping[str, Any]) -> None:
        self.hub = hub
        self.values = values
        self._culler = f"http://127.0.0.1:{culler_port}"

    async def start(self, user: str) -> None:
        """Start a user's server and wait until it is ready."""
        status, answer = await self.hub.api("POST", f"/users/{user}/server", body={})
        assert status in {201, 202}, answer
        await self._reach(user, "ready")

    async def wait_culled(self, user: str) -> None:
        """Wait until the culler has stopped the server."""
        await self._reach(user, "stopped")

    async def _reach(self, user: str, state: str) -> None:
        async def is_there() -> bool:
            return (await self.hub.servers())[user] == state

        await eventually(is_there, seconds=90)

    async def page(self) -> tuple[int, str]:
        """Request the culler's page without login; return the status and the redirect."""
        url = f"{self._culler}/services/{CULLER}/"
        async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False) as reply:
            return reply.status, reply.headers.get("Location", "")


async def tell_story(hub: ChartHub, objects: Callable[[str], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Start, be culled, start again: another pod with the same claim. Return the first pod.

    objects: returns the cluster's objects of one kind, by name.
    """
    await hub.start("ada")
    (pod,) = (await objects("pods")).values()
    (claim,) = (await objects("persistentvolumeclaims")).values()
    await hub.wait_culled("ada")
    assert await objects("pods") == {}
    await hub.start("ada")
    (again,) = (await objects("pods")).values()
    (same,) = (await objects("persistentvolumeclaims")).values()
    assert again["metadata"]["uid"] != pod["metadata"]["uid"]
    assert same["metadata"]["uid"] == claim["metadata"]["uid"]
    assert claims_of(again) == claims_of(pod) == [claim["metadata"]["name"]]
    return pod


def claims_of(pod: Mapping[str, Any]) -> list[str]:
    """Return the names of the claims that a pod mounts."""
    volumes = pod["spec"]["volumes"]
    return [one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one]
