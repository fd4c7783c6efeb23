"""What is left of a box whose process was killed: a folder, and of one with a node a bridge and cgroups.

All bear the box's name. Its processes and mounts went with it, by the kernel's hand.
"""

import contextlib
import shutil
from pathlib import Path

from tests.box.api import wait_for
from tests.box.cgroups import remove_cgroups
from tests.box.folders import LOCK, box_folders, held
from tests.box.network import bridge_of, remove_bridge


def remove_remains() -> list[str]:
    """Remove what dead boxes left; answers their names. Boxes that live are not touched."""
    removed = []
    for folder in box_folders():
        with contextlib.suppress(BlockingIOError, FileNotFoundError), held(folder / LOCK):
            remove_cgroups(folder.name)
            remove_bridge(bridge_of(folder.name))
            wait_for(lambda folder=folder: _is_removed(folder), f"the removal of {folder}", seconds=10)
            removed.append(folder.name)
    return removed


def _is_removed(folder: Path) -> bool:
    """Removed by now? A process that was killed a moment ago may still have made a file."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
