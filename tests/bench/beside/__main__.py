"""`python -m tests.bench.beside`: measures, prints the tables, and says which aims are reached."""

import asyncio
import contextlib
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.beside import cluster, measures
from tests.bench.beside.plan import BARE_SCRIPT, HUB_ALONE, Plan, parse
from tests.bench.beside.table import Results, table
from tests.box.build import BoxUnavailableError
from tests.box.controlplane import control_plane
from tests.box.process import Process, ProcessFailedError
from tests.realhub import free_port

LOAD_BEFORE = os.getloadavg()[0]


async def measure(plan: Plan, field: measures.Field) -> Results:
    """Return all figures, by situation and subject."""
    results: Results = {}

    async def take(situation: str, subject, measuring) -> None:
        begin = time.monotonic()
        figures = measures.flat(await measuring)
        results.setdefault(situation, {})[subject.name] = figures
        took = time.monotonic() - begin
        print(f"{situation}, {subject.name}: {took:.0f} s  {figures}", file=sys.stderr, flush=True)

    for count in plan.users if "burst" in plan.parts else ():
        for subject in plan.subjects:
            if subject is BARE_SCRIPT:
                await take(f"{count} users", subject, measures.measure_script(field, count))
            else:
                await take(f"{count} users", subject, measures.measure_burst(field, subject, count))
    for subject in plan.subjects:
        if "slow" in plan.parts and subject not in {HUB_ALONE, BARE_SCRIPT}:
            await take("slow pods", subject, measures.measure_slow(field, subject))
    for subject in plan.subjects:
        if "crowd" in plan.parts and subject is not BARE_SCRIPT:
            await take(f"{plan.crowd} pods", subject, measures.measure_crowd(field, subject))
    return results


def machine() -> str:
    """Return what the figures were taken on."""
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    versions = f"Linux {platform.release()}, Python {platform.python_version()}"
    others = f"load before: {LOAD_BEFORE:.1f}"
    return f"{os.cpu_count()} cores of {model.partition(':')[2].strip()}, {versions}, {others}"


def main() -> int:
    plan = parse()
    try:
        with contextlib.ExitStack() as stack:
            logs = plan.logs or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="k8s-hub-bench-"))
            )
            logs.mkdir(parents=True, exist_ok=True)
            count = cluster.nodes_for(max(plan.users) + plan.few)
            plane = stack.enter_context(control_plane(node_count=count, logs=logs))
            if not plan.volumes:
                stack.enter_context(cluster.without_storage(plane))
            port = free_port()
            listener = Process(
                name="listener",
                command=[sys.executable, "-m", "tests.bench.beside.listener", str(port)],
                log=logs / "listener.log",
                is_ready=lambda: True,
            )
            listener.start()
            stack.callback(listener.kill)
            results = asyncio.run(measure(plan, measures.Field(plan=plan, plane=plane, port=port, logs=logs)))
    except (BoxUnavailableError, ProcessFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\n{machine()}")
    for situation, figures in results.items():
        print("", *table(situation, figures), sep="\n")
    if plan.json:
        plan.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
