"""``make differential EXAMPLES=20000``: a long run; a case that fails is kept as a regression test."""

import json
import logging
import sys
from collections import Counter
from hashlib import sha256
from time import monotonic

from tests.differential.differences import ADJUSTMENTS, REWRITES
from tests.differential.properties import PROPERTIES, REGRESSIONS, Property


def main() -> int:
    """Compare, and tell how often each listed difference was met."""
    logging.disable(logging.CRITICAL)
    started = monotonic()
    hold = [_holds(prop) for prop in PROPERTIES]
    hits = sum((prop.hits for prop in PROPERTIES), Counter[str]())
    traits = sum((prop.traits for prop in PROPERTIES), Counter[str]())
    examples = sum(prop.examples for prop in PROPERTIES)
    print(f"{examples} examples in {monotonic() - started:.0f} seconds")
    rarest = ", ".join(f"{name} {count}" for name, count in traits.most_common()[-5:])
    print(f"{len(traits)} options drawn; the rarest: {rarest}")
    print("Listed differences, and how often each was met:")
    for difference in [*REWRITES, *ADJUSTMENTS]:
        print(f"  {hits[difference.name]:7} {difference.name}")
    return 0 if all(hold) else 1


def _holds(prop: Property) -> bool:
    try:
        prop.run(derandomize=False)
    except Exception as error:  # noqa: BLE001 - whatever it is, the case is kept
        content = json.dumps(prop.failing, indent=1, sort_keys=True) + "\n"
        file = REGRESSIONS / f"{prop.name}-{sha256(content.encode()).hexdigest()[:8]}.json"
        file.write_text(content)
        print(
            f"{prop.name}: {prop.examples} examples, and one that differs, kept as {file.name}:\n{error}\n",
            flush=True,
        )
        return False
    print(f"{prop.name}: {prop.examples} examples", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
