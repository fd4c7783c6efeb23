"""``python -m devkit.differential.document`` writes docs/reference/differences.md from the listed differences."""

from pathlib import Path

from devkit.differential.differences import ADJUSTMENTS, REWRITES
from devkit.differential.drawing import NOT_DRAWN

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "differences.md"

_HEAD = """# Differences from KubeSpawner 7.1.0

The same configuration, user and choice make equal objects, names, addresses and saved states, except for this list.
[Tests](../architecture.md#generated-pages) compare them in drawn cases. The list leaves out what only this package has: its options,
its reasons for failures, and its behaviour when the cluster fails.

The hub also adds these annotations:

- `hub.jupyter.org/user-id` to pods, claims, Secrets and Services;
- `hub.jupyter.org/start-attempt` to pods, Secrets and Services;
- `hub.jupyter.org/placed-beside` to a pod that must run on the node of another server.

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
