"""Figures of one informer with many pods: ``python -m tests.kube.bench_informer [PODS]``.

A server in a process of its own answers with prepared bytes, so that what is measured is this side alone.
Printed: the time to the first complete view, the longest callback of the loop meanwhile, the memory kept, the
longest callback while every pod changes at once, and events per second.
"""
# ruff: noqa: T201 - figures are printed

import asyncio
import gc
import json
import sys
import tracemalloc
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection as Wire
from time import perf_counter, process_time, thread_time

import pytest
from aiohttp import web

from k8s_hub.diagnosis.projection import project_pod
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.connection import Connection
from k8s_hub.kube.core.resources import PODS
from k8s_hub.kube.core.store import Store
from k8s_hub.kube.core.watch import Updated
from k8s_hub.kube.informer import Informer
from k8s_hub.objects.keys import Key, annotations_of


def pod(number: int, version: int, phase: str) -> bytes:
    """Return a user's pod as large as real ones are: 7.5 kB, half of it what nobody reads."""
    name = f"jupyter-user-{number}"
    container = {"name": "notebook", "image": "quay.io/jupyterhub/k8s-singleuser-sample:4.2.0"}
    time = "2026-01-01T00:00:00Z"
    obj = {
        "metadata": {
            "name": name,
            "namespace": "hub",
            "uid": f"8f14e45f-ceea-467f-a000-{number:012d}",
            "resourceVersion": str(version),
            "creationTimestamp": time,
            "labels": {
                "app": "jupyterhub",
                "component": "singleuser-server",
                "hub.jupyter.org/username": f"user-{number}",
                "app.kubernetes.io/managed-by": "kubespawner",
            },
            "annotations": {"hub.jupyter.org/username": f"user-{number}", "hub.jupyter.org/servername": ""},
            "managedFields": [{"manager": "k8s_hub", "fieldsV1": {f"f:field-{n}": {} for n in range(110)}}],
        },
        "spec": {
            "nodeName": f"node-{number % 100}",
            "restartPolicy": "OnFailure",
            "containers": [
                container
                | {
                    "env": [
                        {"name": f"JUPYTERHUB_VARIABLE_{n}", "value": f"value-{n}-{name}"} for n in range(50)
                    ],
                    "ports": [{"containerPort": 8888, "name": "notebook-port", "protocol": "TCP"}],
                    "resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi", "cpu": "100m"}},
                }
            ],
            "tolerations": [
                {"key": f"hub.jupyter.org/dedicated-{n}", "operator": "Exists"} for n in range(4)
            ],
        },
        "status": {
            "phase": phase,
            "podIP": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            "startTime": time,
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": time}
                for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "containerStatuses": [
                container
                | {
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": time}},
                }
            ],
        },
    }
    return json.dumps(obj).encode()


def serve(count: int, wire: Wire) -> None:
    """Play the API server: pages of the list, and one change of each pod once told to."""
    stored = [pod(number, number + 1, "Pending") for number in range(count)]
    changed = [pod(number, count + number + 1, "Running") for number in range(count)]
    lines = [b'{"type":"MODIFIED","object":' + each + b"}\n" for each in changed]

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if "watch" in request.query:
            return await watch(request)
        limit, begin = int(request.query["limit"]), int(request.query.get("continue", 0))
        end = begin + limit if begin + limit < count else ""
        metadata = json.dumps({"resourceVersion": str(count), "continue": str(end)}).encode()
        items = b",".join(stored[begin : begin + limit])
        return web.Response(body=b'{"metadata":' + metadata + b',"items":[' + items + b"]}")

    async def watch(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.get_running_loop().run_in_executor(None, wire.recv)
        for begin in range(0, count, 100):
            await response.write(b"".join(lines[begin : begin + 100]))
        await asyncio.sleep(3600)
        return response

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(web.Server(answer), "127.0.0.1", 0)
        wire.send((server.sockets[0].getsockname()[1], len(stored[0])))
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def longest_callback():
    """Give a function that tells the longest piece of work of the loop so far, in milliseconds."""
    longest = 0.0
    run = asyncio.Handle._run

    def timed(handle):
        nonlocal longest
        begin = thread_time()  # what others do on a busy machine does not count
        run(handle)
        longest = max(longest, thread_time() - begin)

    asyncio.Handle._run = timed
    try:
        yield lambda: longest * 1000
    finally:
        asyncio.Handle._run = run


def by_owner(kept):
    return [annotations_of(kept)["hub.jupyter.org/username"]]


async def measure(count: int, wire: Wire) -> None:
    port, size = wire.recv()
    print(f"{count} pods of {size} bytes")
    connection = await Connection.open(ConnectionSettings(host=f"http://127.0.0.1:{port}"))
    informer = Informer(KubeApi(connection), PODS, "hub", project=project_pod, index=by_owner)
    deadline = asyncio.get_running_loop().time() + 300
    gc.collect()
    gc.freeze()  # what the process had before is the hub's own to collect
    with longest_callback() as longest:
        begin, cpu = perf_counter(), process_time()
        await informer.start()
        await informer.wait_synced(deadline=deadline)
        print(
            f"view complete after        {perf_counter() - begin:8.2f} s ({process_time() - cpu:.2f} s of CPU)"
        )
        print(f"longest callback meanwhile {longest():8.1f} ms")
    await asyncio.sleep(0.5)
    with longest_callback() as longest:
        begin, cpu = perf_counter(), process_time()
        wire.send("go")
        last = Key("hub", f"jupyter-user-{count - 1}")
        await informer.wait_for(last, lambda kept: kept["status"]["phase"] == "Running", deadline=deadline)
        spent = perf_counter() - begin
        print(f"all changed at once after  {spent:8.2f} s ({process_time() - cpu:.2f} s of CPU)")
        print(f"events per second          {count / spent:8.0f}")
        print(f"longest callback meanwhile {longest():8.1f} ms")
    gc.unfreeze()
    await informer.close()
    await connection.close()


def memory_kept(count: int) -> float:
    """Return the MB that the view of ``count`` pods keeps, each heard in a line of its own."""
    gc.collect()
    tracemalloc.start()
    store = Store(project_pod, by_owner)
    for number in range(count):
        store.apply(Updated(json.loads(pod(number, number, "Running"))))
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return kept / 1e6


def show_figures(count: int) -> None:
    spawning = get_context("spawn")  # a fork would copy the loop's threads
    here, there = spawning.Pipe()
    server = spawning.Process(target=serve, args=(count, there), daemon=True)
    server.start()
    try:
        asyncio.run(measure(count, here))
    finally:
        server.terminate()
        server.join()
    print(f"memory kept by the view    {memory_kept(count):8.1f} MB")


@pytest.mark.bench
@pytest.mark.parametrize("count", [2_000, 10_000])
def test_informer(count):
    print()
    show_figures(count)


if __name__ == "__main__":
    show_figures(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
