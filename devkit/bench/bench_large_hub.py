"""Measures a hub's commits with the chart's settings and with helm-values/large-hub.yaml."""

import asyncio
from datetime import timedelta
from time import monotonic

import pytest

from devkit.bench.beside.usage import cpu_seconds
from devkit.chart.hubs import chart_hub
from devkit.testing.realhub import Answer
from k8s_hub.clock import utcnow

pytestmark = pytest.mark.bench

USERS = 100
ROUNDS = 3


async def measure(folder, names):
    """Return milliseconds on the clock and of processor for each start, stop and report of activity, one at a time."""
    listener = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    spawner = "devkit.bench.instant.InstantSpawner"
    environment = {"BENCH_LISTENER": f"http://127.0.0.1:{port}"}
    figures = {}
    async with chart_hub(
        folder,
        *names,
        kubeconfig=folder / "none",
        namespace="none",
        more={"cull": {"enabled": False}, "hub": {"concurrentSpawnLimit": 0}},
        environment=environment,
    ) as opened:
        hub = opened.hub
        await hub.end()
        hub.change("JupyterHub", spawner_class=spawner, last_activity_interval=86400)
        await hub.boot()
        users = [f"user-{number}" for number in range(USERS)]
        await hub.api("POST", "/users", body={"usernames": users})
        for act, call in {
            "start": lambda user: hub.api("POST", f"/users/{user}/server", body={}),
            "report of activity": lambda user: hub.api(
                "POST",
                f"/users/{user}/activity",
                body={"last_activity": (utcnow() + timedelta(minutes=5)).isoformat()},
            ),
            "stop": lambda user: hub.api("DELETE", f"/users/{user}/server"),
        }.items():
            begun, worked = monotonic(), cpu_seconds(hub.pid)
            for user in users:
                status, answer = await call(user)
                assert status < 300, answer
            figures[act] = tuple(
                1000 * seconds / USERS for seconds in (monotonic() - begun, cpu_seconds(hub.pid) - worked)
            )
    listener.close()
    await listener.wait_closed()
    return figures


async def bench_large_hub(tmp_path):
    print(
        f"\n{USERS} users, one request at a time, ms on the clock / ms of processor, best of {ROUNDS} rounds"
    )
    best = {}
    for number in range(ROUNDS):
        for title, names in (("chart", ()), ("large-hub", ("large-hub",))):
            for act, figures in (await measure(tmp_path / f"{title}-{number}", names)).items():
                best[act, title] = min(best.get((act, title), figures), figures)
    print(f"  {'':20} {'chart':>15} {'large-hub.yaml':>15}")
    for act in ("start", "report of activity", "stop"):
        cells = ["{:.1f} / {:.1f}".format(*best[act, title]) for title in ("chart", "large-hub")]
        print(f"  {act:20} {cells[0]:>15} {cells[1]:>15}")
