"""``python -m devkit chaos``: a soak of one hub under faults, and its judgement."""

import argparse
import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from devkit.chaos import calibration, campaign, checker, record, report
from devkit.chaos.faults import FAULTS
from devkit.chaos.world import ENVIRONMENTS, ROOT, SPAWNERS, Subject
from devkit.realcluster.build import ClusterUnavailableError
from devkit.realcluster.process import ProcessFailedError


def run(arguments: Sequence[str]) -> int:
    """Return 0 without violations, 1 with some, 2 for wrong usage."""
    given = parser().parse_args(arguments)
    if given.table:
        print(report.markdown([json.loads(path.read_text()) for path in given.table]))
        return 0
    if given.calibrate is not None:
        return _calibrate(given.calibrate)
    if (given.spawner, given.hub) not in ENVIRONMENTS:
        print(f"--spawner {given.spawner} --hub {given.hub}: there is no such environment", file=sys.stderr)
        return 2
    folder = given.folder or ROOT / f".chaos/{given.spawner}-{given.hub}-{given.seed}"
    folder = folder.absolute()  # the hub works in it
    if given.judge:
        events = record.read(folder / "record.jsonl")
    else:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            events = asyncio.run(campaign.run(_plan(given, folder)))
        except (ClusterUnavailableError, ProcessFailedError) as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    facts = checker.Facts(events)
    violations = checker.judge(facts)
    figures = report.summary(facts, violations)
    (folder / "report.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(report.text(figures))
    print(f"logs, record.jsonl and report.json: {folder}")
    return 1 if violations else 0


def _calibrate(texts: Sequence[str]) -> int:
    """Return 1 if a bug that should be noticed is not."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    is_good = True
    for bug, found, seconds in calibration.results(texts):
        wanted = f" (expected: {bug.expected})" if bug.expected and bug.expected not in found else ""
        print(f"{seconds:4.0f} s  {bug.name}: {', '.join(found) or 'not noticed'}{wanted}", flush=True)
        is_good = is_good and bool(found or not bug.expected)
    return 0 if is_good else 1


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m devkit chaos", description=__doc__)
    add = made.add_argument
    add("--seed", type=int, default=1, help="draws load and faults")
    add("--minutes", type=float, default=5, help="how long faults are played")
    add("--users", type=int, default=40)
    add("--rate", type=float, default=3, help="operations a second, wanted by all users together")
    add(
        "--idle-timeout",
        type=float,
        default=60,
        help="the culler's, in seconds; the final peace is longer by 40",
    )
    add("--spawner", choices=SPAWNERS, default="k8s_hub", help="with its own culler")
    add("--hub", type=int, choices=(5, 6), default=6, help="major version of JupyterHub")
    add(
        "--faults",
        nargs="+",
        choices=FAULTS,
        default=[],
        metavar="FAULT",
        help="only these, in this order: " + ", ".join(FAULTS),
    )
    add("--folder", type=Path, help="for logs and figures; it is emptied first")
    add("--judge", action="store_true", help="judge what an earlier run wrote down; run nothing")
    add(
        "--calibrate",
        nargs="*",
        metavar="TEXT",
        help="plant the bugs with this in their names, or all, in k8s_hub, and tell what finds them; up to an hour",
    )
    add(
        "--table",
        type=Path,
        nargs="+",
        metavar="REPORT",
        help="print tables of these report.json; run nothing",
    )
    return made


def _plan(given: argparse.Namespace, folder: Path) -> campaign.Plan:
    return campaign.Plan(
        subject=Subject(spawner=given.spawner, hub=given.hub),
        seed=given.seed,
        minutes=given.minutes,
        users=given.users,
        rate=given.rate,
        folder=folder,
        command=_command(given),
        faults=tuple(given.faults),
        idle_timeout=given.idle_timeout,
    )


def _command(given: argparse.Namespace) -> str:
    options = f"--seed {given.seed} --minutes {given.minutes:g} --users {given.users} --rate {given.rate:g}"
    if given.idle_timeout != 60:
        options += f" --idle-timeout {given.idle_timeout:g}"
    faults = " ".join(f"'{fault}'" for fault in given.faults)
    more = f" --faults {faults}" if faults else ""
    return f"python -m devkit chaos {options} --spawner {given.spawner} --hub {given.hub}{more}"
