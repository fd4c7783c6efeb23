"""Pods as processes: real ones, in real time, and none that outlives its pod or its cluster."""

import asyncio
import json
import os
import signal
import sys
import textwrap
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from devkit.minicluster.process import ProcessRuntime
from tests.conformance.client import Client
from tests.devkit.minicluster.material import (
    CLAIMS,
    PODS,
    claim,
    is_in,
    main_state,
    pod,
    pod_with_claim,
    running_cluster,
)

SERVE = f'exec {sys.executable} -m http.server --bind "$ADDRESS" 8888'
ADDRESS = {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
# A grandchild in a session of its own, as a user's background job.
LITTER = "setsid sh -c 'sleep 1000; true' & "


@pytest.fixture(params=["namespace", "subreaper"])
def runtime(request):
    """As isolated as this machine can, and as where there are no PID namespaces."""
    found = ProcessRuntime.detect()
    if request.param == "namespace" and not found.isolation:
        pytest.skip("no PID namespaces here")
    isolation = found.isolation if request.param == "namespace" else ()
    return ProcessRuntime(machine=found.machine, isolation=isolation)


@pytest.fixture
def mark():
    """A mark for the environment of a test's processes; what a failing test leaves behind is ended."""
    value = uuid4().hex
    yield value
    for pid in marked_processes(value):
        os.kill(int(pid), signal.SIGKILL)


def shell(script, **container):
    return {"command": ["sh", "-c", script], "env": [ADDRESS]} | container


def marked_processes(mark):
    """Processes that have the mark in their environment: all descendants inherit it."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if f"MARK={mark}".encode() in (directory / "environ").read_bytes():
                found.append(directory.name)
        except OSError:
            continue
    return found


def marking(mark):
    return {"name": "MARK", "value": mark}


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.01)


async def test_a_pod_serves_its_claim_on_its_own_address(tmp_path, runtime):
    async with running_cluster(tmp_path, runtime) as (cluster, client):
        await client.create(CLAIMS, claim())
        await client.eventually(f"{CLAIMS}/home", is_in("Bound"))
        (cluster.claim_directory("default", "home") / "notes").write_text("mine")
        await client.create(PODS, pod_with_claim(container=shell(SERVE)))
        found = await client.eventually(f"{PODS}/a", is_in("Running"))
        assert await fetch(client, found, "notes") == "mine"


async def fetch(client, found, path):
    async with asyncio.timeout(10):
        while True:
            try:
                async with client.session.get(f"http://{found['status']['podIP']}:8888/{path}") as response:
                    return await response.text()
            except OSError:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$$$", 137)])
async def test_the_exit_code_is_told(tmp_path, runtime, script, code):
    async with running_cluster(tmp_path, runtime) as (_, client):
        await client.create(PODS, pod(container=shell(script), restartPolicy="Never"))
        phase = "Succeeded" if code == 0 else "Failed"
        found = await client.eventually(f"{PODS}/a", is_in(phase))
        assert main_state(found)[1]["exitCode"] == code


async def test_deletion_asks_first(tmp_path, runtime):
    script = "trap 'echo asked > asked; exit 0' TERM; touch ready; while :; do sleep 0.01; done"
    async with running_cluster(tmp_path, runtime) as (cluster, client):
        await client.create(CLAIMS, claim())
        await client.create(PODS, pod_with_claim(container=shell(script)))
        home = cluster.claim_directory("default", "home")
        await until((home / "ready").exists)
        await client.delete(f"{PODS}/a", gracePeriodSeconds=10)
        await client.gone(f"{PODS}/a")
        assert (home / "asked").read_text() == "asked\n"


@pytest.mark.slow
async def test_who_does_not_listen_is_killed_after_the_grace_period(tmp_path, runtime, mark):
    script = f"trap '' TERM; {LITTER} sleep 1000"
    async with running_cluster(tmp_path, runtime) as (_, client):
        await client.create(PODS, pod(container=shell(script, env=[marking(mark)])))
        await client.eventually(f"{PODS}/a", is_in("Running"))
        await client.delete(f"{PODS}/a", gracePeriodSeconds=1)
        await client.gone(f"{PODS}/a")
        assert marked_processes(mark) == []


async def test_what_a_process_started_ends_with_it(tmp_path, runtime, mark):
    async with running_cluster(tmp_path, runtime) as (_, client):
        await client.create(
            PODS, pod(container=shell(f"{LITTER} exit 0", env=[marking(mark)]), restartPolicy="Never")
        )
        await client.eventually(f"{PODS}/a", is_in("Succeeded"))
        assert marked_processes(mark) == []


async def test_no_process_outlives_the_cluster(tmp_path, runtime, mark):
    async with running_cluster(tmp_path, runtime) as (_, client):
        await client.create(PODS, pod(container=shell(f"{LITTER} sleep 1000", env=[marking(mark)])))
        await client.eventually(f"{PODS}/a", is_in("Running"))
        assert marked_processes(mark)
    assert marked_processes(mark) == []


CLUSTER = textwrap.dedent(
    """
    import asyncio, dataclasses, json, sys
    from pathlib import Path
    from devkit.minicluster.cluster import MiniCluster
    from devkit.minicluster.process import ProcessRuntime

    async def main(directory, isolated):
        runtime = ProcessRuntime.detect()
        if not isolated:
            runtime = dataclasses.replace(runtime, isolation=())
        async with MiniCluster(directory=directory, runtime=runtime) as cluster:
            print(json.dumps([cluster.url, cluster.token]), flush=True)
            await cluster.wait_broken()

    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] == "True"))
    """
)


async def test_no_process_outlives_a_cluster_that_is_killed(tmp_path, runtime, mark):
    cluster = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CLUSTER, tmp_path, str(bool(runtime.isolation))),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        url, token = json.loads(await cluster.stdout.readline())
        async with aiohttp.ClientSession() as session:
            client = Client(session=session, url=url, token=token)
            script = f"trap '' TERM; {LITTER} sleep 1000"
            await client.create(PODS, pod(container=shell(script, env=[marking(mark)])))
            await client.eventually(f"{PODS}/a", is_in("Running"))
            await until(lambda: len(marked_processes(mark)) >= 4)
    finally:
        cluster.send_signal(signal.SIGKILL)
        await cluster.wait()
    await until(lambda: not marked_processes(mark))


async def test_nothing_of_the_clusters_own_environment_reaches_a_pod(tmp_path, runtime, monkeypatch):
    monkeypatch.setenv("CLUSTER_SECRET", "hidden")
    async with running_cluster(tmp_path, runtime) as (cluster, client):
        await client.create(CLAIMS, claim())
        script = "env > environment"
        await client.create(PODS, pod_with_claim(container=shell(script), restartPolicy="Never"))
        await client.eventually(f"{PODS}/a", is_in("Succeeded"))
        home = cluster.claim_directory("default", "home")
        environment = dict(line.split("=", 1) for line in (home / "environment").read_text().splitlines())
        environment.pop("_", None)
        assert set(environment) <= {"PATH", "LANG", "HOME", "PWD", "OLDPWD", "SHLVL", "ADDRESS"}
        assert environment["HOME"] == str(home)
        assert environment["PWD"] == str(home)


async def test_what_a_pod_prints_is_kept(tmp_path, runtime):
    async with running_cluster(tmp_path, runtime) as (_, client):
        await client.create(PODS, pod(container=shell("echo out; echo err >&2"), restartPolicy="Never"))
        await client.eventually(f"{PODS}/a", is_in("Succeeded"))
    assert (tmp_path / "logs" / "default_a.log").read_text() == "out\nerr\n"


async def test_without_the_means_pods_are_isolated_by_the_reaper_alone(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert ProcessRuntime.detect().isolation == ()


async def test_a_program_that_is_not_there_is_named(tmp_path, runtime):
    async with running_cluster(tmp_path, runtime) as (_, client):
        await client.create(PODS, pod(container={"args": ["no-such-program"]}))
        found = await client.eventually(f"{PODS}/a", lambda pod: main_state(pod)[1].get("message"))
        assert main_state(found)[1]["reason"] == "RunContainerError"
        assert '"no-such-program": executable file not found' in main_state(found)[1]["message"]


async def test_the_terminals_signals_are_not_for_pods(tmp_path, runtime):
    async with running_cluster(tmp_path, runtime) as (cluster, client):
        await client.create(PODS, pod(container=shell("sleep 1000")))
        await client.eventually(f"{PODS}/a", is_in("Running"))
        process = cluster.container("default", "a")._process
        assert os.getsid(process.pid) != os.getsid(0)


async def test_descriptors_do_not_pile_up(tmp_path, runtime):
    async with running_cluster(tmp_path, runtime) as (_, client):
        counts = []
        for _ in range(3):
            await client.create(PODS, pod(container=shell("sleep 1000")))
            await client.eventually(f"{PODS}/a", is_in("Running"))
            await client.delete(f"{PODS}/a")
            await client.gone(f"{PODS}/a")
            counts.append(open_descriptors())
        assert counts[0] == counts[-1]
