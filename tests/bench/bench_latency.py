"""How long after a pod runs its user gets in: what this package adds to the cluster's own time."""

import asyncio
from time import perf_counter, thread_time
from typing import NamedTuple

import pytest

from k8s_hub import KubeSpawner
from k8s_hub.diagnosis.pod_life import is_ready_to_serve
from k8s_hub.minicluster.cluster import MiniCluster
from k8s_hub.minicluster.resources import PODS
from tests.bench.figures import Spread, show
from tests.realhub import QuietSpawner, RealHub
from tests.spawner.runs import HOME, NAMESPACE, Run, restart_process

pytestmark = pytest.mark.bench

SPAWNERS = 200
SPAWNS, AT_ONCE = 60, 3


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


async def bench_spawns_in_a_real_hub(cluster, rounds):
    """From POST to ready, on the mini cluster and with a spawner that does nothing."""
    print(f"\n{SPAWNS} spawns in a real hub, {AT_ONCE} at a time, from POST to ready")
    for round_ in range(rounds):
        quiet, quiet_cpu = await spawn_times(QuietSpawner)
        ours, our_cpu = await spawn_times(KubeSpawner)
        await restart_process()
        show(f"round {round_ + 1}: a spawner that does nothing", quiet)
        show("  KubeSpawner", ours)
        difference = f"p50 {ours.p50 - quiet.p50:7.1f} ms   p95 {ours.p95 - quiet.p95:7.1f} ms"
        show("  the difference", difference)
        show("  the loop's processor time for one spawn", f"{quiet_cpu:.1f} ms and {our_cpu:.1f} ms")


async def spawn_times(spawner_class) -> tuple[Spread, float]:
    """Return the milliseconds that spawns took, and of processor time for each.

    The first one aside: it connects, and fills the views.
    """
    users = [f"user-{number}" for number in range(SPAWNS + 1)]
    config = {"KubeSpawner": {"namespace": NAMESPACE, **HOME}}
    times = []
    async with RealHub(spawner_class=spawner_class, config=config, users=users) as hub:
        await hub.start_server(users.pop())
        waiting = iter(users)

        async def spawn_one_after_another() -> None:
            for user in waiting:
                begin = perf_counter()
                # 201: the hub answers when the server is ready
                assert await hub.start_server(user) == 201
                times.append(1000 * (perf_counter() - begin))

        begin = thread_time()
        await asyncio.gather(*(spawn_one_after_another() for _ in range(AT_ONCE)))
        cpu = 1000 * (thread_time() - begin) / SPAWNS
        for user in hub.users:
            await hub.stop_server(user)
    return Spread.of(times), cpu
