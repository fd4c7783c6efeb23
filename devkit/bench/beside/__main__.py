"""`python -m devkit.bench.beside`: measures, and prints tables with the aims that are reached."""

import asyncio
import contextlib
import json
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Iterator
from pathlib import Path

import aiohttp

from devkit.bench.beside import cluster, measures
from devkit.bench.beside.hub import is_healthy
from devkit.bench.beside.large import measure_large
from devkit.bench.beside.measures import Field, Figures
from devkit.bench.beside.plan import (
    BARE_SCRIPT,
    CLASSES,
    HUB_ALONE,
    HUB_AND_SCRIPT,
    OURS,
    PEER,
    Subject,
    parse,
)
from devkit.bench.beside.table import Results, table
from devkit.demo.settings import free_port
from devkit.realcluster.build import ClusterUnavailableError
from devkit.realcluster.controlplane import control_plane
from devkit.realcluster.process import Process, ProcessFailedError

BURSTS = {BARE_SCRIPT: measures.measure_script, HUB_AND_SCRIPT: measures.measure_together}
LOAD_BEFORE = os.getloadavg()[0]


def measurements(field: Field) -> Iterator[tuple[str, Subject, Awaitable[Figures]]]:
    """Yield what is asked for, one after the other: the situation, whom, and the work."""
    plan = field.plan
    for count in plan.users if "burst" in plan.parts else ():
        for subject in plan.burst_subjects(count):
            measured = BURSTS.get(subject, measures.measure_burst)
            yield f"{count:,} users", subject, measured(field, subject, count)
    for subject in CLASSES if "class" in plan.parts else ():
        yield f"a class of {plan.class_users:,}", subject, measures.measure_class(field, subject)
    for subject in plan.subjects if "slow" in plan.parts else ():
        if subject in {PEER, OURS}:
            yield "slow pods", subject, measures.measure_slow(field, subject)
    for subject in plan.subjects if "crowd" in plan.parts else ():
        if subject in {HUB_ALONE, PEER, OURS}:
            yield f"{plan.crowd:,} pods", subject, measures.measure_crowd(field, subject)
    for subject in plan.large_subjects if "large" in plan.parts else ():
        yield f"{plan.large_users:,} servers", subject, measure_large(field, subject)


async def measure(field: Field) -> Results:
    """Return all figures by situation and subject, except failed ones."""
    results: Results = {}
    for situation, subject, work in measurements(field):
        begin = time.monotonic()
        try:
            figures = await work
        except (aiohttp.ClientError, OSError, ProcessFailedError):
            traceback.print_exc()  # without the figures of this hub; others are still measured
            continue
        results.setdefault(situation, {})[subject.name] = measures.rounded(figures)
        print(f"{situation}, {subject.name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        if field.plan.json:
            field.plan.json.write_text(json.dumps(results, indent=1) + "\n")
    return results


def machine() -> str:
    """Return a description of the machine."""
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    versions = f"Linux {platform.release()}, Python {platform.python_version()}"
    others = f"load before: {LOAD_BEFORE:.1f}"
    return f"{os.cpu_count()} cores of {model.partition(':')[2].strip()}, {versions}, {others}"


def main() -> int:
    plan = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.ExitStack() as stack:
            logs = plan.logs or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="k8s-hub-bench-"))
            )
            logs.mkdir(parents=True, exist_ok=True)
            count = cluster.nodes_for(plan.most_pods)
            plane = stack.enter_context(control_plane(node_count=count, logs=logs))
            if not plan.volumes:
                stack.enter_context(cluster.without_storage(plane))
            port = free_port()
            listener = Process(
                name="listener",
                command=[sys.executable, "-m", "devkit.bench.beside.listener", str(port)],
                log=logs / "listener.log",
                is_ready=lambda: is_healthy(f"http://127.0.0.1:{port}"),
            )
            listener.start()
            stack.callback(listener.kill)
            results = asyncio.run(measure(Field(plan=plan, plane=plane, port=port, logs=logs)))
    except (ClusterUnavailableError, ProcessFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{machine()}")
    for situation, figures in results.items():
        print("", *table(situation, figures), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
