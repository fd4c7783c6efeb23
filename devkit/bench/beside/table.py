"""Tables of the figures, with k8s_hub's aims. All functions are pure."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from devkit.bench.beside.plan import BARE_SCRIPT, CLASSES, HUB_ALONE, OURS, PEER, QUEUED, SUBJECTS

Results = dict[str, dict[str, Mapping[str, float | list[float]]]]
"""Situation, subject, figure."""

Seen = Mapping[str, float]
"""One figure of each subject that has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """The upper limit for a figure of k8s_hub."""

    said: str
    #: From the others' figures; KeyError where one is missing.
    limit: Callable[[Seen], float]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    what: str
    figure: str
    unit: str
    aims: tuple[Aim, ...] = ()


def of_peer(share: float) -> Aim:
    return Aim(said=f"<= {share:g} x kubespawner", limit=lambda seen: share * seen[PEER.name])


def above_hub(much: float, unit: str) -> Aim:
    return Aim(said=f"<= hub alone + {much:g} {unit}", limit=lambda seen: much + seen[HUB_ALONE.name])


def at_most(much: float, unit: str = "") -> Aim:
    return Aim(said=f"<= {much:g} {unit}".rstrip(), limit=lambda _: much)


NEAR_FLOOR = Aim(
    said="<= 1.1 x the larger of hub alone and bare script",
    limit=lambda seen: 1.1 * max(seen[HUB_ALONE.name], seen[BARE_SCRIPT.name]),
)

ROWS = (
    Row("burst start, wall", "burst.wall", "s", (of_peer(0.65), NEAR_FLOOR)),
    Row("hub CPU per spawn", "burst.cpu", "ms", (above_hub(4, "ms"),)),
    Row("latency in the burst, p50", "burst.p50", "s", (of_peer(0.65),)),
    Row("latency in the burst, p95", "burst.p95", "s", (of_peer(0.65),)),
    Row("burst start: longest stall of the hub", "burst.stall", "ms"),
    Row("burst start: GET /hub/health, p50", "burst.health.p50", "ms"),
    Row("burst start: GET /hub/health, p99", "burst.health.p99", "ms", (at_most(300, "ms"),)),
    Row("burst start: failures", "burst.failures", "", (at_most(0),)),
    Row("burst start: pods without a place", "burst.unschedulable", "", (at_most(0),)),
    Row("class, until all are ready", "class.wall", "s"),
    Row("class: refused with 429", "class.refused", "", (at_most(0),)),
    Row("class: failures", "class.failures", "", (at_most(0),)),
    Row("class: first message of the spawner, p95", "class.told", "s", (at_most(2, "s"),)),
    Row("class: ready, p50", "class.ready.p50", "s"),
    Row("class: ready, p95", "class.ready.p95", "s"),
    Row("class: GET /hub/health, p50", "class.health.p50", "ms"),
    Row("class: GET /hub/health, p99", "class.health.p99", "ms", (at_most(200, "ms"),)),
    Row("class: hub CPU per start", "class.cpu", "ms"),
    Row("quiet: hub CPU", "quiet.cpu", "%", (above_hub(0.5, "%"),)),
    Row("quiet: longest stall of the hub", "quiet.stall", "ms", (above_hub(50, "ms"),)),
    Row("quiet: list calls", "quiet.lists", "", (at_most(0),)),
    Row("hub memory, resident", "memory.resident", "MB", (above_hub(40, "MB"),)),
    Row("burst stop, wall", "stop.wall", "s", (of_peer(0.75),)),
    Row("hub CPU per stop", "stop.cpu", "ms"),
    Row("burst stop: failures", "stop.failures", "", (at_most(0),)),
    Row("3 at a time: latency, p50", "few.p50", "s", (above_hub(0.1, "s"),)),
    Row("3 at a time: latency, p95", "few.p95", "s", (above_hub(0.1, "s"),)),
    Row("pod runs -> start() returns, p50", "slow.p50", "ms"),
    Row("pod runs -> start() returns, p95", "slow.p95", "ms", (at_most(50, "ms"),)),
    Row("slow pods: failures", "slow.failures", "", (at_most(0),)),
    Row("list of all pods", "crowd.megabytes", "MB"),
    Row("first start: longest stall of the hub", "crowd.start.stall", "ms", (above_hub(50, "ms"),)),
    Row("quiet: hub CPU", "crowd.quiet.cpu", "%", (above_hub(0.5, "%"),)),
    Row("quiet: longest stall of the hub", "crowd.quiet.stall", "ms", (above_hub(50, "ms"),)),
    Row("quiet: list calls", "crowd.quiet.lists", "", (at_most(0),)),
    Row("hub memory, resident", "crowd.resident", "MB"),
    Row("until all are started, wall", "large.start.wall", "s"),
    Row("until all are started: failures", "large.start.failures", "", (at_most(0),)),
    Row("hub CPU per start", "large.start.cpu", "ms"),
    Row("until all are started: longest stall of the hub", "large.start.stall", "ms"),
    Row("quiet: hub CPU", "large.quiet.cpu", "%", (above_hub(0.5, "%"),)),
    Row("quiet: hub CPU per server, a second", "large.quiet.each", "us"),
    Row("quiet: longest stall of the hub", "large.quiet.stall", "ms", (above_hub(50, "ms"),)),
    Row("quiet: of it processor time", "large.quiet.stall_cpu", "ms"),
    Row("quiet: list calls", "large.quiet.lists", "", (at_most(0),)),
    Row("410: from the API server's return to open watches", "large.relist.fresh", "s"),
    Row("410: hub CPU", "large.relist.cpu", "s"),
    Row("410: longest stall of the hub", "large.relist.stall", "ms", (above_hub(100, "ms"),)),
    Row("410: of it processor time", "large.relist.stall_cpu", "ms"),
    Row("hub killed: until GET /hub/api/ is answered", "large.restart.answer", "s"),
    Row("hub killed: until all servers are checked", "large.restart.known", "s"),
    Row("hub killed: longest stall of the hub", "large.restart.stall", "ms"),
    Row("servers lost", "large.lost", "", (at_most(0),)),
    Row("hub memory, resident, with one server", "large.empty", "MB", (above_hub(40, "MB"),)),
    Row("hub memory, resident, with all", "large.resident", "MB"),
    Row("hub memory per server", "large.kilobytes", "kB", (above_hub(4, "kB"),)),
    Row("hub memory, resident, after its restart", "large.restart.resident", "MB"),
    *(
        row
        for part in ("burst", "slow", "crowd", "large")
        for row in (
            Row("own slow callbacks", f"{part}.callbacks", ""),
            Row("own longest callback", f"{part}.longest_callback", "ms", (at_most(50, "ms"),)),
        )
    ),
)


def table(situation: str, figures: Mapping[str, Mapping[str, float | list[float]]]) -> Iterator[str]:
    """Yield a situation's table as Markdown."""
    names = [subject.name for subject in (*SUBJECTS, *CLASSES) if subject.name in figures]
    yield _line([situation, *names, "aim of k8s_hub", "reached"])
    yield "|---|" + "--:|" * len(names) + "---|---|"
    for row in ROWS:
        seen = {name: figures[name][row.figure] for name in names if row.figure in figures[name]}
        if seen:
            shown = [_number(seen[name], row.unit) if name in seen else "-" for name in names]
            said = " and ".join(aim.said for aim in row.aims)
            yield _line([row.what, *shown, said, verdict(row, seen)])


def verdict(row: Row, seen: Seen) -> str:
    """Return "yes", or the limit that is exceeded; nothing where there is none, or too little to compare with."""
    ours = seen.get(QUEUED.name, seen.get(OURS.name))
    limits = []
    for aim in row.aims:
        with suppress(KeyError):
            limits.append(aim.limit(seen))
    if ours is None or not limits:
        return ""
    if ours > min(limits):
        return f"no: {_number(min(limits), row.unit)}"
    return "yes" if len(limits) == len(row.aims) else ""


def _number(value: float, unit: str) -> str:
    digits = 0 if value == int(value) or value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
