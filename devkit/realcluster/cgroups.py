"""The parent cgroup of a node's pods, with the same name in every hierarchy."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from devkit.realcluster.api import wait_for

KINDS = {"cgroup", "cgroup2"}
INHERITED = ("cpuset.cpus", "cpuset.mems")  # empty in a new group of cgroup v1, which then accepts no process


def make_cgroups(name: str) -> None:
    """Create it in every hierarchy; in hybrid mode the unified hierarchy has no controllers."""
    roots = mounted_hierarchies()
    for root, kind in roots.items():
        if kind == "cgroup" or len(roots) == 1:
            group = root / name
            group.mkdir()
            for file in INHERITED:
                if (root / file).exists():
                    (group / file).write_text((root / file).read_text())


def remove_cgroups(name: str) -> None:
    """Remove it and its children; raise if one still has a process."""
    for group in groups_below(name):
        wait_for(lambda group=group: _is_removed(group), f"the end of the processes in {group}", seconds=10)


def groups_below(name: str) -> Iterator[Path]:
    """Return the groups with this name and all groups below, children first."""
    for root in mounted_hierarchies():
        for folder, _, _ in os.walk(root / name, topdown=False):
            yield Path(folder)


def mounted_hierarchies() -> dict[Path, str]:
    """Return the mount point and kind of each hierarchy."""
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
