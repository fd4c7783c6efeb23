"""The files of claims: one directory each, kept after the claim's deletion (reclaim policy Retain)."""

from pathlib import Path

from devkit.minicluster.pod_status import main_container
from devkit.minicluster.runtime import StartError
from k8s_hub.objects.keys import Key, metadata_of
from k8s_hub.objects.raw import Raw


class Volumes:
    """``volumes/<namespace>/<claim>``; the files of a deleted claim move to ``released/<claim>-<uid>``."""

    def __init__(self, directory: Path, classes: frozenset[str] | None) -> None:
        self._directory = directory
        self._classes = classes

    def has_class(self, name: str) -> bool:
        """Return whether the storage class provides volumes; "" stands for no class."""
        return self._classes is None or name in self._classes

    def path(self, key: Key) -> Path:
        """Return the directory of the claim's files."""
        return self._directory / "volumes" / key.namespace / key.name

    def home(self, pod: Raw) -> Path | None:
        """Return the directory of the main container's first claim; None without claims."""
        claims = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"].get("volumes") or ()
            if volume.get("persistentVolumeClaim")
        }
        for mount in main_container(pod).get("volumeMounts") or ():
            if mount["name"] in claims:
                key = Key(metadata_of(pod)["namespace"], claims[mount["name"]])
                return self.path(key) / _inner(str(mount.get("subPath") or ""))
        return None

    def provide(self, key: Key) -> None:
        """Create the directory; an existing one keeps its files."""
        self.path(key).mkdir(parents=True, exist_ok=True, mode=0o700)

    def release(self, key: Key, uid: str) -> None:
        """Move the files aside, so that a later claim of this name starts empty and nothing is lost."""
        if self.path(key).is_dir():
            released = self._directory / "released" / f"{key.name}-{uid}"
            released.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path(key).rename(released)


def _inner(sub_path: str) -> str:
    """Return the path unless it leads out of the volume."""
    if sub_path.startswith("/") or ".." in sub_path.split("/"):
        raise StartError("CreateContainerConfigError", f'subPath "{sub_path}" leads out of the volume')
    return sub_path
