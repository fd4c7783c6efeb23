"""The namespaces of a node: PID and mount namespaces in which only its folder is writable.

They belong to one process that only waits. The node's programs run in them. When the first process ends, the kernel kills all
others, and the mounts vanish with the last.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devkit.realcluster.build import NodeBinaries
from devkit.realcluster.parts import HOST_PATHS
from devkit.realcluster.process import Process, running

USER = 1000  # the owner of volumes' folders: the user of the pods
# What a kubelet insists on, and would set for the whole machine.
KERNEL = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
# /run and /var are where containerd, its shims, CNI and the kubelet write at paths that no option changes. Images,
# tens of thousands of files, are in memory: that spares a disk a minute, mostly of removing them.
ENTRY = """set -e
mount -t tmpfs -o mode=755 run /run
mount -t overlay -o lowerdir=/var,upperdir=$1/var,workdir=$1/var-work var /var
mount -t tmpfs -o mode=711,size=8g containerd "$1/containerd"
mount --bind "$1/volumes" "$2"
for file in $(cd "$1/kernel" && find . -type f); do mount --bind "$1/kernel/$file" "/proc/sys/$file"; done
touch "$1/entered"
exec "$3"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The namespaces of a node."""

    first: Process

    def inside(self, *command: str | Path) -> list[str | Path]:
        """Return the command that runs this one in the namespaces."""
        return ["nsenter", self._mounts, f"--pid=/proc/{self.first.pid}/ns/pid_for_children", "--", *command]

    @property
    def volume_maker(self) -> Sequence[str | Path]:
        """What runs a provisioner so that the folders it makes (mode 0750) belong to the user of the pods.

        To read its keys and to remove what root left in a volume it keeps root's say over files.
        """
        ids = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        rights = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        # The kernel forgets the death signal of one who changes ids.
        return ["nsenter", self._mounts, "--", "setpriv", *ids, *rights, "--pdeathsig=KILL", "--"]

    @property
    def _mounts(self) -> str:
        return f"--mount=/proc/{self.first.pid}/ns/mnt"


@contextlib.contextmanager
def made_space(folder: Path, logs: Path, binaries: NodeBinaries) -> Iterator[Space]:
    """Create namespaces in which /run, /var and volumes' folders are inside the node's folder."""
    for name in ("var", "var-work", "volumes", "containerd"):
        (folder / name).mkdir()
    (folder / "volumes").chmod(0o777)
    for name, value in KERNEL.items():
        setting = folder / "kernel" / name
        setting.parent.mkdir(parents=True, exist_ok=True)
        setting.write_text(f"{value}\n")
    HOST_PATHS.mkdir(exist_ok=True)  # only to mount on
    namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    first = Process(
        name="namespaces",
        command=["unshare", *namespaces, "sh", "-c", ENTRY, "sh", folder, HOST_PATHS, binaries.pause],
        log=logs / "namespaces.log",
        is_ready=(folder / "entered").exists,
    )
    with running(first):
        yield Space(first=first)
