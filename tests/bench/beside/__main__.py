"""`python -m tests.bench.beside`: measures, prints the tables, and says which aims are reached."""

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.beside import cluster, measures
from tests.bench.beside.plan import BARE_SCRIPT, HUB_ALONE, Plan, parse
from tests.bench.beside.table import Results, print_tables
from tests.box.build import BoxUnavailableError
from tests.box.controlplane import control_plane
from tests.box.process import Process, ProcessFailedError
from tests.realhub import free_port


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
    print_tables(results)
    if plan.json:
        plan.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
