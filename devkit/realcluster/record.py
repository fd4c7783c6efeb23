"""Records the real control plane's answers as test data: `python -m devkit.realcluster.record [situation ...]`.

It writes one file per situation to tests/data/recorded: a description with its origin (`_about`), and the status, pod, claim
and events that a hub can read.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from devkit.realcluster.build import ClusterUnavailableError
from devkit.realcluster.controlplane import ControlPlane, control_plane
from devkit.realcluster.situations.kubelet import KUBELET_SITUATIONS
from devkit.realcluster.situations.refusals import REFUSALS
from devkit.realcluster.situations.scene import Scene, stripped
from devkit.realcluster.situations.waiting import WAITING

FOLDER = Path(__file__).parents[2] / "tests" / "data" / "recorded"
Situation = Callable[[Scene], dict[str, Any]]
SOURCES: dict[str, Sequence[Situation]] = {
    "real server": (*REFUSALS, *WAITING),
    "kubelet's form, stored by the real server": KUBELET_SITUATIONS,
}


def observe(plane: ControlPlane, situation: Situation) -> dict[str, Any]:
    """Create a situation in a namespace of its name, and return what a hub sees."""
    name = situation.__name__.replace("_", "-")
    scene = Scene(plane=plane, namespace=plane.make_namespace(f"jhub-{name}"))
    seen = situation(scene)
    scene.clear()
    return stripped(seen)


def record(plane: ControlPlane, situation: Situation, source: str) -> None:
    """Record a situation in its file."""
    about = {
        "situation": (situation.__doc__ or "").splitlines()[0],
        "source": source,
        "kubernetes": plane.admin.get("/version")["gitVersion"],
    }
    content = {"_about": about} | observe(plane, situation)
    path = FOLDER / f"{situation.__name__}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def main(wanted: Sequence[str]) -> int:
    """Record the named situations, or all."""
    named = {s.__name__: (s, source) for source, situations in SOURCES.items() for s in situations}
    if unknown := set(wanted) - set(named):
        print(
            f"unknown situation: {', '.join(sorted(unknown))}; there are {', '.join(named)}", file=sys.stderr
        )
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with control_plane() as plane:
            for name in wanted or named:
                record(plane, *named[name])
                print(name, flush=True)
    except ClusterUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
