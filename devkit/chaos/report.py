"""What a campaign has shown, as text and as JSON. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from devkit.chaos.checker import Facts, Violation, heal_seconds
from devkit.chaos.record import Request

ALL = "all faults"


@dataclass(frozen=True, slots=True, kw_only=True)
class Healing:
    """How long a kind of fault was felt after its end; seconds, None if it always was until the next."""

    faults: int
    p50: float | None
    p95: float | None
    longest: float | None
    #: Faults that were still felt when the next one began.
    unhealed: int


def summary(facts: Facts, violations: Sequence[Violation]) -> dict[str, Any]:
    """Return all figures of a campaign."""
    operations = [each for each in facts.operations if each.verb != "activity"]
    healed = [(fault.kind, heal_seconds(facts, number)) for number, fault in enumerate(facts.faults)]
    heals: dict[str, list[float | None]] = defaultdict(list)
    for kind, seconds in healed:
        heals[kind].append(seconds)
    starts = [each for each in operations if each.verb == "start"]
    return {
        "begin": asdict(facts.start),
        "operations": len(operations),
        "operations by verb": dict(Counter(each.verb for each in operations).most_common()),
        "starts by outcome": dict(Counter(each.outcome for each in starts).most_common()),
        "failed starts by fault": failed_starts(facts),
        "requests": len(facts.of(Request)),
        "starved": round(facts.starved(facts.start.at, facts.end), 2),
        "violations": [asdict(each) | {"after": facts.fault_before(each.at)} for each in violations],
        "violations per 1,000 operations": per_thousand(violations, len(operations)),
        "healed in": healed,
        "healing": {
            **{kind: asdict(healing(seconds)) for kind, seconds in heals.items()},
            "all": asdict(healing([seconds for _, seconds in healed])),
        },
    }


def failed_starts(facts: Facts) -> dict[str, int]:
    """Return how many starts failed, by the fault that was on."""
    failed = [each for each in facts.operations if each.verb == "start" and each.outcome == "failed"]
    kinds = (facts.fault_at(each.begin, each.end) or "peace" for each in failed)
    return dict(Counter(kinds).most_common())


def per_thousand(violations: Iterable[Violation], operations: int) -> dict[str, float]:
    """Return the rate of each violated invariant."""
    counts = Counter(each.invariant for each in violations)
    return {name: round(1000 * count / max(operations, 1), 2) for name, count in counts.most_common()}


def healing(seconds: Sequence[float | None]) -> Healing:
    """Return the figures of some faults."""
    healed = sorted(each for each in seconds if each is not None)

    def percentile(share: float) -> float | None:
        return round(healed[max(ceil(share * len(healed)) - 1, 0)], 1) if healed else None

    return Healing(
        faults=len(seconds),
        p50=percentile(0.5),
        p95=percentile(0.95),
        longest=percentile(1),
        unhealed=len(seconds) - len(healed),
    )


def text(figures: dict[str, Any]) -> str:
    """Return a page of them."""
    begin = figures["begin"]
    who = f"{begin['spawner']} on JupyterHub {begin['hub']}, seed {begin['seed']}, {begin['users']} users"
    lines = [
        f"{who}: {figures['operations']:,} operations, {figures['requests']:,} requests of the hub",
        f"the hub waited for a processor in {figures['starved']:.0%} of the time",
        f"operations: {_counts(figures['operations by verb'])}",
        f"starts: {_counts(figures['starts by outcome'])}",
        f"failed starts by fault: {_counts(figures['failed starts by fault'])}",
        "",
        f"{'fault':<30}{'times':>6}{'p50':>9}{'p95':>9}{'max':>9}  not healed",
        *(_healing_line(kind, heal) for kind, heal in figures["healing"].items()),
        "",
        "violations per 1,000 operations: "
        + (_counts(figures["violations per 1,000 operations"]) if figures["violations"] else "none"),
        *(_line(each, begin["at"]) for each in figures["violations"]),
        "",
        f"again: {begin['command']}",
    ]
    return "\n".join(lines)


def _healing_line(kind: str, heal: dict[str, Any]) -> str:
    figures = ("-" if heal[name] is None else f"{heal[name]} s" for name in ("p50", "p95", "longest"))
    seconds = "".join(f"{figure:>9}" for figure in figures)
    return f"{kind:<30}{heal['faults']:>6}{seconds}  {heal['unhealed'] or ''}".rstrip()


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _line(violation: dict[str, Any], begin: float) -> str:
    at = f"{violation['at'] - begin:.0f} s"
    where = f"{violation['server']}: " if violation["server"] else ""
    return f"  {at:>6}  {violation['invariant']}: {where}{violation['what']} (after: {violation['after']})"


def markdown(reports: Sequence[dict[str, Any]]) -> str:
    """Return tables of many campaigns, with a column for each spawner, for docs/reliability.md."""
    by_subject: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in reports:
        by_subject[f"{each['begin']['spawner']}, JupyterHub {each['begin']['hub']}"].append(each)
    columns = [_Column(name, campaigns) for name, campaigns in sorted(by_subject.items())]
    header = [f"| | {' | '.join(column.name for column in columns)} |", "|---" * (len(columns) + 1) + "|"]
    invariants = sorted({name for column in columns for name in column.violations})
    faults = sorted(
        {name for column in columns for name in column.healings}, key=lambda name: (name != ALL, name)
    )
    rows = [
        _row("seeds", [", ".join(map(str, column.seeds)) for column in columns]),
        _row("operations", [f"{column.operations:,}" for column in columns]),
        _row("starts that failed, with a reason", [str(column.failed) for column in columns]),
        *(_row(name, [column.rate(name) for column in columns]) for name in invariants),
    ]
    healings = [_row(name, [column.healing(name) for column in columns]) for name in faults]
    return "\n".join([*header, *rows, "", *header, *healings])


class _Column:
    """The campaigns of one subject."""

    def __init__(self, name: str, campaigns: Sequence[dict[str, Any]]) -> None:
        self.name = name
        self.seeds = sorted({each["begin"]["seed"] for each in campaigns})
        self.operations = sum(each["operations"] for each in campaigns)
        self.failed = sum(each["starts by outcome"].get("failed", 0) for each in campaigns)
        self.violations = Counter(one["invariant"] for each in campaigns for one in each["violations"])
        self.healings: dict[str, list[float | None]] = defaultdict(list)
        for each in campaigns:
            for kind, seconds in each["healed in"]:
                self.healings[kind].append(seconds)
                self.healings[ALL].append(seconds)

    def rate(self, invariant: str) -> str:
        """Return the violations and how many there are per 1,000 operations."""
        count = self.violations[invariant]
        return f"{count} ({1000 * count / self.operations:.2f})" if count else "0"

    def healing(self, kind: str) -> str:
        """Return p50, p95 and the longest, of how many faults, and how many of them were not healed."""
        seconds = self.healings.get(kind, ())
        if not seconds:
            return ""
        figures = healing(seconds)
        if not figures.unhealed:
            return f"{figures.p50} / {figures.p95} / {figures.longest} ({figures.faults})"
        unhealed = f"{figures.unhealed} of {figures.faults} not healed"
        if figures.unhealed == figures.faults:
            return unhealed
        return f"{figures.p50} / {figures.p95} / {figures.longest}; {unhealed}"


def _row(name: str, cells: Iterable[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"
