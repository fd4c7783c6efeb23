"""Both spawners' observations beside each other: equal, explained by listed differences, or a failure."""

from collections import Counter
from dataclasses import replace
from typing import Any

from devkit.differential import peers
from devkit.differential.differences import ADJUSTMENTS, REWRITES
from devkit.differential.drawing import DEPRECATED
from devkit.differential.observing import LAST_IF_RAISED, Outcome, Seen, observed
from devkit.differential.recipes import plain, value_of


class Unexplained(AssertionError):
    """The two differ, and no listed difference says why."""


def compared(case: dict[str, Any]) -> Counter[str]:
    """Compare all that the two make of a case; return the listed differences that were needed, by name."""
    theirs, ours = observed(peers.Theirs, case), observed(peers.Ours, case)
    hits: Counter[str] = Counter()
    configured = case
    for aspect in dict.fromkeys([*theirs, *ours]):
        if aspect not in theirs or aspect not in ours:
            continue  # an error was before it, which is explained
        seen, names = explained(Seen(configured, case, aspect, theirs[aspect], ours[aspect], theirs, ours))
        hits.update(names)
        if aspect in LAST_IF_RAISED:
            if theirs[aspect].raised:
                # Upstream comes no further: the rest is compared with what it makes of the case as rewritten.
                theirs, case = seen.theirs_altogether, seen.case
            if theirs[aspect].raised or ours[aspect].raised:
                break
    return hits


def explained(seen: Seen) -> tuple[Seen, set[str]]:
    """Return the aspect as listed differences explain it, and their names; raises `Unexplained`."""
    names: set[str] = set()
    if seen.theirs == seen.ours:
        return seen, names
    for rewrite in REWRITES:
        case = rewrite.to(seen)
        if case is not None and case != seen.case:
            altogether = observed(peers.Theirs, case)
            theirs = altogether.get(seen.aspect, seen.theirs)
            if str(theirs) != str(seen.theirs):
                names.add(rewrite.name)
            seen = replace(seen, case=case, theirs=theirs, theirs_altogether=altogether)
    seen = replace(seen, theirs=_as_configured(seen))
    for adjustment in ADJUSTMENTS:
        if seen.theirs == seen.ours:
            break
        expected = adjustment.to(seen)
        if expected is not None and expected != seen.theirs:
            names.add(adjustment.name)
            seen = replace(seen, theirs=expected)
    if seen.theirs != seen.ours:
        raise Unexplained(_told(seen, names))
    return seen, names


def _as_configured(seen: Seen) -> Outcome:
    """Return upstream's outcome; of its traits, those that were rewritten are as they were configured."""
    if seen.aspect != "traits" or seen.theirs.raised or seen.case is seen.configured:
        return seen.theirs
    configured = seen.configured["traits"]
    renamed = {DEPRECATED[name]: name for name in configured if name in DEPRECATED}
    restored = {}
    for name, value in seen.traits.items():
        today = DEPRECATED.get(name, name)
        if configured.get(name) == value or (name != today and today in configured):
            continue
        default = peers.Theirs.class_traits()[today].default_value
        restored[today] = plain(value_of(configured.get(name, configured.get(renamed.get(today), default))))
    return Outcome({**seen.theirs.value, **restored})


def _told(seen: Seen, names: set[str]) -> str:
    parts = [f"{seen.aspect} differs (explained so far: {', '.join(sorted(names)) or 'nothing'})"]
    if seen.theirs.raised or seen.ours.raised:
        parts += [f"KubeSpawner: {str(seen.theirs)[:500]}", f"k8s_hub: {str(seen.ours)[:500]}"]
    else:
        parts += [
            f"at {path or '/'}:\n  KubeSpawner: {theirs!r}\n  k8s_hub: {ours!r}"
            for path, theirs, ours in unlike(seen.theirs.value, seen.ours.value)
        ]
    return "\n".join(parts)


def unlike(theirs: Any, ours: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return where two values differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        keys = dict.fromkeys([*theirs, *ours])
        both = [(f"{path}/{key}", theirs.get(key, "(nothing)"), ours.get(key, "(nothing)")) for key in keys]
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        both = [(f"{path}/{index}", *pair) for index, pair in enumerate(zip(theirs, ours, strict=True))]
    else:
        return [(path, theirs, ours)]
    return [found for at, one, other in both if one != other for found in unlike(one, other, at)]
