"""The folders in which real clusters live: each is held by a living process, so that those of the dead are known."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from devkit.realcluster.build import cache_folder

PLACE = Path("/tmp")  # the same for all of a machine, whatever their TMPDIR: the living must be known to all
PREFIX = "k8s-hub-box-"
LOCK = "held"


@contextlib.contextmanager
def held_folder() -> Iterator[Path]:
    """A new folder, removed at the end; the kernel lets go of its lock when the holder dies."""
    with contextlib.ExitStack() as stack:
        # It gets its name when it is locked: nobody may take it for a dead one's.
        draft = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=PLACE))
        (draft / LOCK).touch(mode=0o600)
        stack.enter_context(held(draft / LOCK))
        folder = draft.rename(draft.with_name(draft.name.removeprefix(".")))
        stack.callback(shutil.rmtree, folder)
        yield folder


def is_held(folder: Path) -> bool:
    """Does a living process hold it?"""
    try:
        with held(folder / LOCK):
            return False
    except BlockingIOError:
        return True
    except FileNotFoundError:  # it went, or was never one of these
        return False


def living_names() -> set[str]:
    """The names of the folders of living clusters; one without a lock cannot be asked, and may live."""
    return {folder.name for folder in PLACE.glob(f"{PREFIX}*") if _may_live(folder)}


def cluster_folders() -> list[Path]:
    """The folders of clusters on this machine that can be asked whether they live."""
    return sorted(path.parent for path in PLACE.glob(f"{PREFIX}*/{LOCK}"))


def _may_live(folder: Path) -> bool:
    return is_held(folder) or not (folder / LOCK).exists()


@contextlib.contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold a lock file, or raise BlockingIOError because somebody else does."""
    file = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Keep all other processes of this user out of what bears this name, waiting for those that are in it."""
    path = cache_folder() / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
