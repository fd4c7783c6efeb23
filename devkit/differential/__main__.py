"""``make differential EXAMPLES=20000``: a long run; a case that differs is kept as a regression test."""

import json
import logging
import sys
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import Pool
from time import monotonic

from devkit.differential.differences import ADJUSTMENTS, REWRITES
from devkit.differential.peers import certificates
from devkit.differential.properties import PROPERTIES, REGRESSIONS


@dataclass(frozen=True)
class _Report:
    """What came of one kind of cases."""

    name: str
    examples: int
    hits: Counter[str]
    traits: Counter[str]
    failure: str


def main() -> int:
    """Compare, each kind of cases in a process of its own, and tell how often each listed difference was met."""
    logging.disable(logging.CRITICAL)
    started = monotonic()
    certificates()  # before there are processes that would each leave them behind
    with Pool(len(PROPERTIES)) as pool:
        reports = []
        for report in pool.imap_unordered(_run, range(len(PROPERTIES))):
            print(f"{report.name}: {report.examples} examples {report.failure}", flush=True)
            reports.append(report)
    hits = sum((report.hits for report in reports), Counter[str]())
    traits = sum((report.traits for report in reports), Counter[str]())
    examples = sum(report.examples for report in reports)
    print(f"{examples} examples in {monotonic() - started:.0f} seconds")
    rarest = ", ".join(f"{name} {count}" for name, count in traits.most_common()[-5:])
    print(f"{len(traits)} options drawn; the rarest: {rarest}")
    print("Listed differences, and how often each was met:")
    for difference in [*REWRITES, *ADJUSTMENTS]:
        print(f"  {hits[difference.name]:7} {difference.name}")
    return 1 if any(report.failure for report in reports) else 0


def _run(index: int) -> _Report:
    prop, failure = PROPERTIES[index], ""
    try:
        prop.run(derandomize=False)
    except Exception as error:  # noqa: BLE001 - whatever it is, the case is kept
        content = json.dumps(prop.failing, indent=1, sort_keys=True) + "\n"
        file = REGRESSIONS / f"{prop.name}-{sha256(content.encode()).hexdigest()[:8]}.json"
        file.write_text(content)
        failure = f"and one that differs, kept as {file.name}:\n{error}\n"
    return _Report(prop.name, prop.examples, prop.hits, prop.traits, failure)


if __name__ == "__main__":
    sys.exit(main())
