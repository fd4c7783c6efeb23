"""Removes what is left of a cluster whose process was killed: a folder, and of one with a node a bridge and cgroups.

All bear the cluster's name. Its processes and mounts went with it, by the kernel's hand.
"""

import contextlib
import os
import shutil
from pathlib import Path

from devkit.realcluster.api import wait_for
from devkit.realcluster.cgroups import mounted_hierarchies, remove_cgroups
from devkit.realcluster.folders import LOCK, PREFIX, cluster_folders, exclusive, held, living_names
from devkit.realcluster.network import BRIDGE_PREFIX, LINKS, bridge_of, remove_bridge


def clean_up() -> list[str]:
    """Remove what dead clusters left; answers their names. Clusters that live are not touched."""
    with exclusive("cleanup"):  # two at once would take bridges and cgroups from under each other
        removed = _names_of_root_only() if os.geteuid() == 0 else set()
        removed -= living_names()  # asked after: whatever has a name here had a folder before
        for name in removed:
            remove_cgroups(name)
            remove_bridge(bridge_of(name))
        for folder in cluster_folders():
            with contextlib.suppress(BlockingIOError, FileNotFoundError), held(folder / LOCK):
                wait_for(lambda folder=folder: _is_removed(folder), f"the removal of {folder}", seconds=10)
                removed.add(folder.name)
    return sorted(removed)


def _names_of_root_only() -> set[str]:
    """The clusters that cgroups and bridges tell of."""
    groups = {group.name for root in mounted_hierarchies() for group in root.glob(f"{PREFIX}*")}
    bridges = {PREFIX + link.name.removeprefix(BRIDGE_PREFIX) for link in LINKS.glob(f"{BRIDGE_PREFIX}*")}
    return groups | bridges


def _is_removed(folder: Path) -> bool:
    """Removed by now? A process that was killed a moment ago may still have made a file."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
