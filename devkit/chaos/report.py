"""What a campaign has shown, as text and as JSON. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from devkit.chaos.checker import Facts, Violation, heal_seconds
from devkit.chaos.record import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Healing:
    """How long a kind of fault was felt after its end; seconds."""

    faults: int
    p50: float
    p95: float
    longest: float
    #: Faults that were still felt when the next one began.
    unhealed: int


def summary(facts: Facts, violations: Sequence[Violation], command: str) -> dict[str, Any]:
    """Return all figures of a campaign."""
    operations = [each for each in facts.operations if each.verb != "activity"]
    heals: dict[str, list[float | None]] = defaultdict(list)
    for number, fault in enumerate(facts.faults):
        heals[fault.kind].append(heal_seconds(facts, number))
    starts = [each for each in operations if each.verb == "start"]
    return {
        "command": command,
        "begin": asdict(facts.start),
        "operations": len(operations),
        "operations by verb": dict(Counter(each.verb for each in operations).most_common()),
        "starts by outcome": dict(Counter(each.outcome for each in starts).most_common()),
        "failed starts by fault": failed_starts(facts),
        "requests": len(facts.of(Request)),
        "violations": [asdict(each) | {"after": facts.fault_before(each.at)} for each in violations],
        "violations per 1,000 operations": per_thousand(violations, len(operations)),
        "healing": {
            **{kind: asdict(healing(seconds)) for kind, seconds in heals.items()},
            "all": asdict(healing([each for seconds in heals.values() for each in seconds])),
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

    def percentile(share: float) -> float:
        return round(healed[min(int(share * len(healed)), len(healed) - 1)], 1) if healed else float("nan")

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
        f"operations: {_counts(figures['operations by verb'])}",
        f"starts: {_counts(figures['starts by outcome'])}",
        f"failed starts by fault: {_counts(figures['failed starts by fault'])}",
        "",
        f"{'fault':<30}{'times':>6}{'p50':>8}{'p95':>8}{'max':>8}  not healed",
        *(_healing_line(kind, heal) for kind, heal in figures["healing"].items()),
        "",
        "violations per 1,000 operations: "
        + (_counts(figures["violations per 1,000 operations"]) if figures["violations"] else "none"),
        *(_line(each, begin["at"]) for each in figures["violations"]),
        "",
        f"again: {figures['command']}",
    ]
    return "\n".join(lines)


def _healing_line(kind: str, heal: dict[str, Any]) -> str:
    seconds = "".join(f"{heal[name]:>7} s" for name in ("p50", "p95", "longest"))
    return f"{kind:<30}{heal['faults']:>6}{seconds}  {heal['unhealed'] or ''}".rstrip()


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _line(violation: dict[str, Any], begin: float) -> str:
    at = f"{violation['at'] - begin:.0f} s"
    where = f"{violation['server']}: " if violation["server"] else ""
    return f"  {at:>6}  {violation['invariant']}: {where}{violation['what']} (after: {violation['after']})"
