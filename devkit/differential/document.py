"""``python -m devkit.differential.document`` writes docs/reference/differences.md from the listed differences."""

from pathlib import Path

from devkit.differential.differences import ADJUSTMENTS, REWRITES
from devkit.differential.drawing import NOT_DRAWN

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "differences.md"

_HEAD = """# Differences from KubeSpawner 7.1.0

What the two make of the same configuration, user and choice is compared for thousands of drawn cases: pods,
claims, Services, Secrets, namespaces, names, labels, annotations, environments, certificates' names, addresses,
saved states, traits after a profile was applied, and what custom forms get. All of it is equal but for this list.
What is beyond KubeSpawner (options of its own, better reasons for failures, what happens when the cluster fails)
is not in it.

`make differential EXAMPLES=20000` compares as many cases, and says how often each difference was met.
This page is written by `python -m devkit.differential.document`.

| difference | KubeSpawner | here | reason |
|---|---|---|---|
"""

_FOOT = """
Not compared are these options:

| option | why |
|---|---|
"""


def page() -> str:
    """Return the whole page."""
    listed = sorted([*REWRITES, *ADJUSTMENTS], key=lambda each: each.name.casefold())
    rows = [f"| {each.name} | {each.upstream} | {each.here} | {each.reason} |" for each in listed]
    others = [f"| `{name}` | {reason} |" for name, reason in sorted(NOT_DRAWN.items())]
    return _HEAD + "\n".join(rows) + "\n" + _FOOT + "\n".join(others) + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
