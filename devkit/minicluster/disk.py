"""Persistent state: one file per persistent object, and the lock on the directory."""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from devkit.minicluster.errors import DirectoryError
from devkit.minicluster.resources import KINDS, Kind
from k8s_hub.objects.keys import Key
from k8s_hub.objects.raw import Raw


class DirectoryLock:
    """Locks the directory from construction until ``release`` or the end of the process."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DirectoryError(f"The directory {directory} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(self._file, 20).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise DirectoryError(
                f"Another cluster (process {owner}) already runs on the directory {directory}."
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class ObjectFiles:
    """Files ``objects/<plural>/<namespace>/<name>.json``. After a crash each is old or new, never partial."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self) -> Iterator[tuple[Kind, Raw]]:
        """Yield the saved objects; raise DirectoryError with the name of a malformed file."""
        for kind in KINDS.values():
            if not kind.persistent:
                continue
            for path in sorted((self._directory / kind.plural).rglob("*.json")):
                yield kind, _load(path)

    def save(self, kind: Kind, key: Key, encoded: bytes) -> None:
        """Return when the object is safe on disk."""
        path = self._path(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, encoded)

    def remove(self, kind: Kind, key: Key) -> None:
        """Return when the object will not come back after a crash."""
        path = self._path(kind, key)
        path.unlink(missing_ok=True)
        _sync_directory(path.parent)

    def _path(self, kind: Kind, key: Key) -> Path:
        return self._directory / kind.plural / key.namespace / f"{key.name}.json"


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` atomically, with ``mode`` from the start."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    scratch.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _load(path: Path) -> Raw:
    try:
        obj = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DirectoryError(f"The saved object {path} cannot be read: {error}.") from error
    if not isinstance(obj, dict):
        raise DirectoryError(f"The saved object {path} is not a JSON object.")
    return obj
