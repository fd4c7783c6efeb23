"""The folders in which boxes live: each is held by a living process, so that those of the dead are known."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "k8s-hub-box-"
LOCK = "held"


@contextlib.contextmanager
def held_folder() -> Iterator[Path]:
    """A new folder, removed at the end; the kernel lets go of its lock when the holder dies."""
    with contextlib.ExitStack() as stack:
        # It gets its name when it is locked: nobody may take it for a dead one's.
        draft = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
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
    except FileNotFoundError:  # gone, or not a folder of this kind
        return folder.exists()


def held_names() -> set[str]:
    """The names of the folders of living boxes."""
    return {folder.name for folder in _folders() if is_held(folder)}


def dead_folders() -> list[Path]:
    """What killed processes left."""
    return [folder for folder in _folders() if not is_held(folder)]


def _folders() -> list[Path]:
    return sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock file, or raise BlockingIOError because somebody else does."""
    file = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)
