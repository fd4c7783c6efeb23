"""Removes leftovers of killed clusters: folders, and for clusters with a node also bridges and cgroups.

All have the cluster's name. The kernel has already removed its processes and mounts.
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
    """Remove the leftovers of dead clusters; return their names. Living clusters are not touched."""
    with exclusive("cleanup"):  # two concurrent runs would remove the same bridges and cgroups
        removed = _names_of_root_only() if os.geteuid() == 0 else set()
        removed -= living_names()  # read after the leftovers: a cluster makes its folder first
        for name in removed:
            remove_cgroups(name)
            remove_bridge(bridge_of(name))
        for folder in cluster_folders():
            with contextlib.suppress(BlockingIOError, FileNotFoundError), held(folder / LOCK):
                wait_for(lambda folder=folder: _is_removed(folder), f"the removal of {folder}", seconds=10)
                removed.add(folder.name)
    return sorted(removed)


def _names_of_root_only() -> set[str]:
    """Return the names of clusters in cgroups and bridges."""
    groups = {group.name for root in mounted_hierarchies() for group in root.glob(f"{PREFIX}*")}
    bridges = {PREFIX + link.name.removeprefix(BRIDGE_PREFIX) for link in LINKS.glob(f"{BRIDGE_PREFIX}*")}
    return groups | bridges


def _is_removed(folder: Path) -> bool:
    """Return whether the folder is removed: a process that was just killed may still have created a file."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
