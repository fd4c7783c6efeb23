"""Folders of real clusters. A living process locks its folder, so folders of dead clusters are known."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from devkit.realcluster.build import cache_folder

PLACE = Path("/tmp")  # independent of TMPDIR, so that all processes see all clusters
PREFIX = "k8s-hub-box-"
LOCK = "held"


@contextlib.contextmanager
def held_folder() -> Iterator[Path]:
    """Create a locked folder, removed at the end. The kernel releases the lock when the holder dies."""
    with contextlib.ExitStack() as stack:
        # It gets its name when it is locked: nobody may take it for a dead one's.
        draft = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=PLACE))
        (draft / LOCK).touch(mode=0o600)
        stack.enter_context(held(draft / LOCK))
        folder = draft.rename(draft.with_name(draft.name.removeprefix(".")))
        stack.callback(shutil.rmtree, folder)
        yield folder


def is_held(folder: Path) -> bool:
    """Return whether a living process holds it."""
    try:
        with held(folder / LOCK):
            return False
    except BlockingIOError:
        return True
    except FileNotFoundError:  # it was removed, or is not a cluster's
        return False


def living_names() -> set[str]:
    """Return the names of living clusters' folders; one without a lock file may be alive."""
    return {folder.name for folder in PLACE.glob(f"{PREFIX}*") if _may_live(folder)}


def cluster_folders() -> list[Path]:
    """Return the clusters' folders with a lock file."""
    return sorted(path.parent for path in PLACE.glob(f"{PREFIX}*/{LOCK}"))


def _may_live(folder: Path) -> bool:
    return is_held(folder) or not (folder / LOCK).exists()


@contextlib.contextmanager
def held(lock: Path) -> Iterator[None]:
    """Lock a file; raise BlockingIOError if another process has the lock."""
    file = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Wait for, and hold, a lock of this name among the user's processes."""
    path = cache_folder() / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
