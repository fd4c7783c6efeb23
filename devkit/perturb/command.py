"""``python -m devkit perturb``: kills the hub at each of its writes, spoils its views, and judges what is left."""

import argparse
import asyncio
import shutil
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from devkit.perturb.campaign import Report, Stage, opened, run_kills
from devkit.perturb.cases import coverage, uncovered
from devkit.perturb.scenarios import PLAIN, SCENARIOS, Scenario, Setting
from devkit.perturb.views import VIEW_CASES, run_views
from devkit.realcluster.build import ClusterUnavailableError

ROOT = Path(__file__).parents[2]


def run(arguments: Sequence[str]) -> int:
    """Return 0 if every invariant held and every write has its cases."""
    parsed = _parser().parse_args(arguments)
    begun, report = time.monotonic(), Report()
    try:
        asyncio.run(_run(parsed, report))
    except ClusterUnavailableError as error:
        print(error)
        return 1
    if not parsed.only:  # else even the server that keeps views open makes writes that no case has
        report.gaps += uncovered(report.requests, report.cases)
    print("", *coverage(report.cases, report.results), sep="\n")
    _print_findings(report)
    total = f"{len(report.results)} cases on hub {parsed.hub} in {time.monotonic() - begun:.0f} s"
    print(f"\n{total}: {len(report.violations)} with a violation, {len(report.gaps)} gaps")
    return 0 if report.is_good else 1


async def _run(parsed: argparse.Namespace, report: Report) -> None:
    lanes = asyncio.Semaphore(parsed.lanes)

    def is_wanted(name: str) -> bool:
        return not parsed.only or any(only in name for only in parsed.only)

    async def in_lane(name: str, setting: Setting, work: Callable[[Stage], Awaitable[None]]) -> None:
        async with lanes, opened(setting, parsed.hub, _folder(parsed.folder, name), report) as stage:
            await work(stage)

    groups = defaultdict[Setting, list[Scenario]](list)
    for scenario in SCENARIOS:
        if parsed.hub in scenario.hubs and is_wanted(scenario.name):
            groups[scenario.setting].append(scenario)
    views = [case for case in VIEW_CASES if is_wanted(str(case)) and parsed.case in str(case)]
    async with asyncio.TaskGroup() as group:
        for setting, scenarios in groups.items():
            kills = partial(
                run_kills, scenarios=scenarios, is_wanted=lambda case: parsed.case in case, say=_say
            )
            group.create_task(in_lane(setting.name, setting, kills))
        if views:
            group.create_task(in_lane("views", PLAIN, partial(run_views, cases=views, say=_say)))


def _folder(parent: Path, name: str) -> Path:
    folder = parent.absolute() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _say(line: str) -> None:
    print(line, flush=True)


def _print_findings(report: Report) -> None:
    for name, lines in report.violations.items():
        print(f"\n{name}", *(f"  {line}" for line in lines), sep="\n")
    for gap in report.gaps:
        print(f"\n{gap}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devkit perturb", description=__doc__)
    parser.add_argument("--hub", type=int, default=6, choices=[5, 6], help="JupyterHub's major version")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TEXT",
        help="scenarios and views with this in their name",
    )
    parser.add_argument(
        "--case", default="", metavar="TEXT", help="cases with this in their name, such as 'committed'"
    )
    parser.add_argument("--lanes", type=int, default=2, help="how many hubs run at once")
    parser.add_argument("--folder", type=Path, default=ROOT / ".perturb", help="for the logs of this run")
    return parser
