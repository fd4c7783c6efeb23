"""The cgroup below which a node keeps those of its pods: one of the same name in every hierarchy."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from devkit.realcluster.api import wait_for

KINDS = {"cgroup", "cgroup2"}
INHERITED = ("cpuset.cpus", "cpuset.mems")  # a new group of cgroup v1 has none, and can then hold no process


def make_cgroups(name: str) -> None:
    """Make it in every hierarchy of this machine; in a hybrid one the unified hierarchy has no controllers."""
    roots = mounted_hierarchies()
    for root, kind in roots.items():
        if kind == "cgroup" or len(roots) == 1:
            group = root / name
            group.mkdir()
            for file in INHERITED:
                if (root / file).exists():
                    (group / file).write_text((root / file).read_text())


def remove_cgroups(name: str) -> None:
    """Remove it and all below it; raises when a process is still in one."""
    for group in groups_below(name):
        wait_for(lambda group=group: _is_removed(group), f"the end of the processes in {group}", seconds=10)


def groups_below(name: str) -> Iterator[Path]:
    """Those of this name and all in them, children first."""
    for root in mounted_hierarchies():
        for folder, _, _ in os.walk(root / name, topdown=False):
            yield Path(folder)


def mounted_hierarchies() -> dict[Path, str]:
    """Where each is mounted, and of which kind it is."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind = after.split()[0]
        if kind in KINDS:
            found[Path(before.split()[4])] = kind
    return found


def _is_removed(group: Path) -> bool:
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()
