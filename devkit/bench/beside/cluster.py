"""The cluster of the comparison: nodes, slow pods, many running pods, and an observer of ready pods."""

import asyncio
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
from traitlets.config import Config

from devkit.bench.beside.bare import NAME
from devkit.bench.beside.chart import chart_traits
from devkit.bench.beside.load import rush
from devkit.bench.beside.watch import begun
from devkit.realcluster.controlplane import ControlPlane
from devkit.realcluster.process import Process
from devkit.testing.bare import bare_spawner

PODS_A_NODE = 200  # by their memory, which the scheduler counts
STAGES = Path(__file__).with_name("stages.yaml")
SCHEDULER = Path(__file__).with_name("scheduler.yaml")

NAMES_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def nodes_for(pods: int) -> int:
    """Return how many nodes so many pods fit on."""
    return pods // PODS_A_NODE + 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A namespace, and the token of an account that has the chart's rights there."""

    namespace: str
    token: str


def make_place(plane: ControlPlane) -> Place:
    namespace = plane.make_namespace(f"bench-{secrets.token_hex(4)}")
    return Place(namespace=namespace, token=plane.make_hub_account(namespace))


async def objects(namespace: str, port: int) -> tuple[Any, Any]:
    """Return a user's claim and pod as they are created, with NAME for the user's name."""
    spawner = bare_spawner(NAME, config=Config(chart_traits()), namespace=namespace, port=port)
    return spawner._manifests.home_claim(spawner.pvc_name), await spawner._manifests.pod()


@contextmanager
def slow_pods(plane: ControlPlane) -> Iterator[None]:
    """Delay running pods by some seconds after their binding, for the context."""
    with _given(plane, "kwok", f"--config={STAGES}"):
        yield


@contextmanager
def without_storage(plane: ControlPlane) -> Iterator[None]:
    """Run without a provisioner for the context; pods do not wait for volumes.

    Otherwise the volumes of a burst take the machine longer than everything else.
    """
    config = plane.layout.folder / "scheduler.yaml"
    config.write_text(SCHEDULER.read_text().replace("{kubeconfig}", str(plane.layout.kubeconfig)))
    with (
        _given(plane, "kube-controller-manager", "--controllers=*,-persistentvolume-binder-controller"),
        _given(plane, "kube-scheduler", f"--config={config}"),
    ):
        yield


@contextmanager
def _given(plane: ControlPlane, name: str, flag: str) -> Iterator[None]:
    """Have a part of the control plane run with one more flag, while inside."""
    process = next(each for each in plane.controllers if each.name == name)
    command = process.command
    _restart(process, [*command, flag])
    try:
        yield
    finally:
        _restart(process, command)


def _restart(process: Process, command: Sequence[str | Path]) -> None:
    process.stop()
    process.command = command
    process.start()


@asynccontextmanager
async def session(plane: ControlPlane) -> AsyncIterator[aiohttp.ClientSession]:
    """Many requests at a time, as the administrator."""
    trusted = ssl.create_default_context(cafile=plane.ca_certificate)
    async with aiohttp.ClientSession(
        plane.url,
        headers={"Authorization": f"Bearer {plane.admin_token}"},
        connector=aiohttp.TCPConnector(ssl=trusted, limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=2**22,
    ) as opened:
        yield opened


@asynccontextmanager
async def observed(plane: ControlPlane, namespace: str) -> AsyncIterator[dict[str, float]]:
    """Give the moments at which pods were seen ready, by user name, on the clock that all processes share."""
    seen: dict[str, float] = {}

    async def watch(changes: AsyncIterator[tuple[str, Any]]) -> None:
        async for _, pod in changes:
            now = monotonic()
            conditions = pod["status"].get("conditions", ())
            if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
                seen.setdefault(pod["metadata"]["annotations"]["hub.jupyter.org/username"], now)

    async with session(plane) as admin:
        task = asyncio.create_task(watch(await begun(admin, namespace)))
        try:
            yield seen
        finally:
            task.cancel()


async def fill(plane: ControlPlane, namespace: str, count: int, port: int) -> None:
    """Have so many users' pods run, without a hub or a scheduler."""
    nodes = plane.make_nodes(nodes_for(count), prefix=namespace)
    _, pod = await objects(namespace, port)
    texts = [json.dumps({**pod, "spec": {**pod["spec"], "nodeName": node}}) for node in nodes]
    path = f"/api/v1/namespaces/{namespace}/pods"
    async with session(plane) as admin:

        async def create(user: str) -> bool:
            body = texts[int(user.rpartition("-")[2]) % len(texts)].replace(NAME, user)
            async with admin.post(path, data=body, headers={"Content-Type": "application/json"}) as reply:
                return reply.status == 201

        made = await rush([f"crowd-{number}" for number in range(count)], create, at_once=20)
        if made.failures:
            raise RuntimeError(f"{made.failures} of {count} pods were refused")
        # From the API server's own view, and names only: else each look would have it read all pods anew.
        waiting = {"fieldSelector": "status.phase!=Running", "resourceVersion": "0"}
        while True:
            async with admin.get(path, params=waiting, headers={"Accept": NAMES_ONLY}) as reply:
                if not (await reply.json())["items"]:
                    return
            await asyncio.sleep(2)


async def empty(plane: ControlPlane, namespace: str) -> None:
    """Remove the namespace's pods and claims; return when no pod is left.

    Pods of earlier measurements take the place of later ones: those that fit on no node wait until their start fails.
    """
    path = f"/api/v1/namespaces/{namespace}"
    async with session(plane) as admin:
        for plural in ("pods", "persistentvolumeclaims"):
            status = None
            while status in {None, HTTPStatus.GATEWAY_TIMEOUT}:  # 10,000 take longer than one request may
                async with admin.delete(f"{path}/{plural}", params={"gracePeriodSeconds": "0"}) as reply:
                    status = reply.status
            reply.raise_for_status()
        while True:
            async with admin.get(f"{path}/pods", params={"limit": "1"}) as reply:
                if not (await reply.json())["items"]:
                    return
            await asyncio.sleep(1)


async def unschedulable(plane: ControlPlane, namespace: str) -> int:
    """Return how many pods of the namespace the scheduler has found no node for, at least at first."""
    query = {"fieldSelector": "reason=FailedScheduling"}
    async with (
        session(plane) as admin,
        admin.get(f"/api/v1/namespaces/{namespace}/events", params=query) as reply,
    ):
        events = (await reply.json())["items"]
    return len({event["involvedObject"]["uid"] for event in events})


async def count_pods(plane: ControlPlane, namespace: str) -> int:
    """Return how many pods the namespace has."""
    query = {"resourceVersion": "0"}
    async with (
        session(plane) as admin,
        admin.get(
            f"/api/v1/namespaces/{namespace}/pods", params=query, headers={"Accept": NAMES_ONLY}
        ) as reply,
    ):
        return len((await reply.json())["items"] or ())


async def size_of_list(plane: ControlPlane, namespace: str) -> int:
    """Return how many bytes a list of all pods has."""
    async with session(plane) as admin, admin.get(f"/api/v1/namespaces/{namespace}/pods") as reply:
        return len(await reply.read())
