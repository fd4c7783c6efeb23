"""Measures the cost of 2,000 running servers for a hub: quiet, at the start, and after an outage.

It uses the real API server with pods simulated by kwok. Informers fill and keep the views, and JupyterHub's timers poll every
server each 30 seconds. It does not run the hub itself, to measure only this package.
"""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import perf_counter, thread_time

import pytest
from jupyterhub import orm

from devkit.bench.figures import median_of, show
from devkit.testing.bare import bare_spawner
from devkit.testing.eventually import eventually
from devkit.testing.runs import HOME
from k8s_hub import KubeSpawner
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.connection import Connection
from k8s_hub.kube.core.resources import CLAIMS, PODS
from k8s_hub.kube.metrics import LISTS, REQUESTS
from k8s_hub.kube.pool import InformerPool
from k8s_hub.objects.keys import Key
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.cluster import Cluster


@dataclass(slots=True)
class Work:
    """The event loop's work during a measurement."""

    #: Seconds of processor time.
    cpu: float = 0.0
    #: Seconds that went by.
    elapsed: float = 0.0
    #: CPU seconds of the longest callback: the event loop is blocked for that long.
    longest: float = 0.0
    #: The name of that callback.
    culprit: str = ""

    @property
    def share(self) -> float:
        """Percent of one core."""
        return 100 * self.cpu / self.elapsed


@contextmanager
def watched() -> Iterator[Work]:
    """Give the work of the running loop, complete once outside."""
    work, run = Work(), asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        begin = thread_time()
        run(handle)
        spent = thread_time() - begin
        if spent > work.longest:
            work.longest, work.culprit = spent, repr(handle)

    asyncio.Handle._run = timed
    begin, cpu = perf_counter(), thread_time()
    try:
        yield work
    finally:
        asyncio.Handle._run = run
        work.cpu, work.elapsed = thread_time() - cpu, perf_counter() - begin


pytestmark = pytest.mark.bench

SERVERS = 2000
POLL_INTERVAL = 30
ENVIRONMENT = {f"VARIABLE_{number}": f"a value of about forty characters, {number:3}" for number in range(15)}
"""Makes a stored pod 9 kB large; with the chart's defaults it is 7 kB."""


class Idle(KubeSpawner):
    """Costs what JupyterHub's timers cost."""

    async def poll(self):
        return None


async def bench_2000_running_pods(
    control_plane, fresh_namespace, pool, tmp_path, monkeypatch, rounds, quiet_seconds
):
    """At the start, while nothing happens, and after a new list."""
    token = control_plane.make_hub_account(fresh_namespace)
    control_plane.write_kubeconfig(tmp_path / "kubeconfig", token=token)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    spawners = [make_spawner(KubeSpawner, fresh_namespace, number) for number in range(SERVERS)]
    nodes = control_plane.make_nodes(SERVERS // 100, prefix=fresh_namespace)
    size = await run_pods(spawners, nodes)
    print(f"\n{SERVERS} running pods of {size / 1000:.1f} kB and their claims, on the real API server")

    starts = [await fill_views(spawners[0]) for _ in range(rounds)]
    report("start, until the views are filled", starts)

    timers = await timers_alone(fresh_namespace, quiet_seconds)
    gc.collect()
    before = lists_asked()
    async with polled(spawners):
        minutes = [await quiet(quiet_seconds) for _ in range(rounds)]
    report(f"quiet for {quiet_seconds:g} s", minutes)
    show("  lists asked for, in all of them", f"{lists_asked() - before:7.0f}")
    show("  processor time", median_of([work.share for work in minutes], "% of a core"))
    show("  of it JupyterHub's timers", f"{timers.share:7.2f} % of a core")

    cluster = await spawners[0]._connect()
    relists = [await list_again(control_plane, cluster) for _ in range(rounds)]
    report("the API server restarts and has forgotten its past (410)", relists)


def report(what: str, works: list[Work]) -> None:
    """Print what every phase is asked for."""
    print(f"  {what}")
    show("  elapsed", median_of([work.elapsed for work in works], "s"))
    show("  processor time", median_of([1000 * work.cpu for work in works], "ms"))
    show("  longest callback", median_of([1000 * work.longest for work in works], "ms"))


def make_spawner(spawner_class: type[KubeSpawner], namespace: str, number: int) -> KubeSpawner:
    """Return the spawner of a server that ran already when the hub started."""
    made = bare_spawner(
        f"user-{number}",
        spawner_class=spawner_class,
        namespace=namespace,
        poll_interval=POLL_INTERVAL,
        environment=ENVIRONMENT,
        **HOME,
    )
    made.orm_spawner.server = orm.Server(
        proto="http", ip="127.0.0.1", port=8888, base_url=made.user.url, cookie_name="server"
    )
    return made


async def run_pods(spawners: list[KubeSpawner], nodes: list[str]) -> int:
    """Create each server's pod and claim, bound to a node without a scheduler; return a pod's size in bytes."""
    connection = await Connection.open(ConnectionSettings())
    api, turns = KubeApi(connection), asyncio.Semaphore(20)

    async def run(spawner: KubeSpawner, node: str) -> None:
        async with turns:
            # Named in a claim that nobody will bind: the controller manager has nothing to say about it.
            claim = spawner._manifests.home_claim(spawner.pvc_name)
            volume = {"storageClassName": "", "volumeName": "of-another-cluster"}
            await api.create(CLAIMS, spawner.namespace, {**claim, "spec": {**claim["spec"], **volume}})
            pod = await spawner._manifests.pod()
            spec = {**pod["spec"], "nodeName": node}
            await api.create(PODS, spawner.namespace, {**pod, "spec": spec})

    await asyncio.gather(*(run(each, nodes[n % len(nodes)]) for n, each in enumerate(spawners)))
    pods = [await until_running(api, each) for each in spawners]
    await connection.close()
    return len(json.dumps(pods[0], separators=(",", ":")))


async def until_running(api: KubeApi, spawner: KubeSpawner) -> Raw:
    """Return the server's pod once kwok has it running."""
    while True:
        pod = await api.get(PODS, Key(spawner.namespace, spawner.pod_name))
        if pod["status"]["phase"] == "Running":
            return pod
        await asyncio.sleep(0.5)


async def fill_views(spawner: KubeSpawner) -> Work:
    """Connect anew and wait until pods and claims are known."""
    await InformerPool.for_current_loop().close()
    deadline = asyncio.get_running_loop().time() + 120
    with watched() as work:
        cluster = await spawner._connect()
        await cluster.pods.wait_synced(deadline=deadline)
        await cluster.claims.wait_synced(deadline=deadline)
    return work


@asynccontextmanager
async def polled(spawners: list[KubeSpawner]) -> AsyncIterator[None]:
    """Have JupyterHub's timers poll, spread over the interval as servers are that started at any time."""
    for each in spawners:
        each.start_polling()
        await asyncio.sleep(POLL_INTERVAL / len(spawners))
    try:
        yield
    finally:
        for each in spawners:
            each.stop_polling()


async def timers_alone(namespace: str, seconds: float) -> Work:
    """Watch the loop while as many spawners are polled that have nothing to find out."""
    async with polled([make_spawner(Idle, namespace, number) for number in range(SERVERS)]):
        return await quiet(seconds)


async def quiet(seconds: float) -> Work:
    """Watch the loop while nothing happens."""
    with watched() as work:
        await asyncio.sleep(seconds)
    return work


async def list_again(control_plane, cluster: Cluster) -> Work:
    """Have the API server forget its past, and wait until both views were listed and are watched again."""
    # The cluster goes on, so that what the views know is of the past that is forgotten.
    for number in range(3):
        secret = {"metadata": {"name": f"unseen-{lists_read():g}-{number}"}}
        await asyncio.to_thread(control_plane.admin.create, "/api/v1/namespaces/default/secrets", secret)
    goal = lists_read() + 2
    with watched() as work:
        await asyncio.to_thread(control_plane.forget_history)
        await eventually(
            lambda: lists_read() >= goal and cluster.pods.is_watching and cluster.claims.is_watching,
            seconds=120,
        )
    return work


def lists_asked() -> float:
    """Return how many pages were asked for so far."""
    return sum(
        sample.value
        for metric in REQUESTS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["verb"] == "list"
    )


def lists_read() -> float:
    """Return how many lists were read to their end."""
    return sum(
        sample.value
        for metric in LISTS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )
