"""Measures the time from a running pod to a ready server: what this package adds to the cluster's own time."""

import asyncio
from time import perf_counter, thread_time
from typing import NamedTuple

import pytest

from devkit.bench.figures import Spread, show
from devkit.minicluster.cluster import MiniCluster
from devkit.minicluster.resources import PODS
from devkit.testing.runs import Run
from k8s_hub.diagnosis.pod_life import is_ready_to_serve

pytestmark = pytest.mark.bench

SPAWNERS = 200


class Moment(NamedTuple):
    """A point in time, and in the loop's own processor time, which stands still while others use the machine."""

    clock: float
    cpu: float

    @classmethod
    def now(cls) -> "Moment":
        return cls(perf_counter(), thread_time())


class Sent:
    """When the API server had each pod ready: the moment it is stored, before it is sent to anybody."""

    def __init__(self, cluster: MiniCluster) -> None:
        self.moments: dict[str, Moment] = {}
        cluster.database.subscribe(self._note)

    def _note(self, kind, change) -> None:
        if kind == PODS and is_ready_to_serve(change.after.obj):
            self.moments.setdefault(change.key.name, Moment.now())


async def bench_200_spawners_started_at_once(cluster, rounds):
    """From "the API server sent Running" to "start() returns"; all share one loop with the mini cluster."""
    print(f"\n{SPAWNERS} spawners started at once, from the pod is ready to start() returns")
    sent = Sent(cluster)
    for round_ in range(rounds):
        runs = [Run(f"user-{round_}-{number}") for number in range(SPAWNERS)]
        begin = perf_counter()
        returned = await asyncio.gather(*(start(run) for run in runs))
        show(f"round {round_ + 1}: all started after", f"{perf_counter() - begin:.1f} s")
        ready = [sent.moments[run.spawner.pod_name] for run in runs]
        pairs = list(zip(ready, returned, strict=True))
        show("  from ready to returned", Spread.of([1000 * (b.clock - a.clock) for a, b in pairs]))
        show("  of it the loop's processor time", Spread.of([1000 * (b.cpu - a.cpu) for a, b in pairs]))
        await asyncio.gather(*(run.stop() for run in runs))


async def start(run: Run) -> Moment:
    """Return when start() returned."""
    await run.start()
    return Moment.now()
