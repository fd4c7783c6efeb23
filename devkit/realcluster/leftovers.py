"""`python -m devkit.realcluster.leftovers -- COMMAND ...`: runs a command, and fails if it leaves something behind.

It compares mounts, links, network namespaces, cgroups, firewall rules, kernel settings and the clusters' folders before and
after. Orphan processes of the command become children of this process. Objects of other living clusters do not count.
"""

import argparse
import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from devkit.realcluster.cgroups import mounted_hierarchies
from devkit.realcluster.cleanup import clean_up
from devkit.realcluster.folders import PLACE, PREFIX, living_names
from devkit.realcluster.living import command_line, descendants
from devkit.realcluster.network import BRIDGE_PREFIX, LINKS, bridge_of
from devkit.realcluster.parts import HOST_PATHS

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
GRACE_SECONDS = 10
POLL_SECONDS = 0.1
#: A part of cgroup names that only clusters create; other cgroups change all the time.
CLUSTER_CGROUPS = (PREFIX, "kubepods", "k8s.io")
NAMED_NETWORK_NAMESPACES = Path("/run/netns")
WRITTEN_TO = (
    "/etc/cni/net.d",
    "/opt/containerd",
    "/run/containerd",
    "/run/calico",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)
SETTINGS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/conf/all/forwarding",
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
_CLUSTER = re.compile(rf"(?:{PREFIX}|\b{BRIDGE_PREFIX})\w+")


def take_stock() -> set[str]:
    """Return everything that a cluster may leave on this machine, except processes, one line each."""
    return {
        *_mounts(),
        *_links(),
        *(f"network namespace {path}" for path in _entries(NAMED_NETWORK_NAMESPACES)),
        *_cgroups(),
        *_firewall_rules(),
        *_settings(),
        *(f"folder {path}" for path in WRITTEN_TO if Path(path).exists()),
        *(f"volume {path}" for path in _entries(HOST_PATHS)),
        *(f"folder {path}" for path in PLACE.glob("k8s-hub-*")),
    }


def left_since(before: set[str]) -> list[str]:
    """Return what is new since ``before``, without the objects of running clusters."""
    found = take_stock() - before
    return sorted(found - of_clusters(found, living_names()))


def of_clusters(stock: set[str], names: set[str]) -> set[str]:
    """Return the lines with the name of one of these clusters."""
    known = names | {bridge_of(name) for name in names}
    return {thing for thing in stock if known & set(_CLUSTER.findall(thing))}


def of_dead_clusters(stock: set[str]) -> set[str]:
    """Return the lines with the name of a dead cluster."""
    of_any = {thing for thing in stock if _CLUSTER.search(thing)}
    return of_any - of_clusters(of_any, living_names())


def run(command: Sequence[str], *, grace_seconds: float) -> tuple[int, list[str]]:
    """Run a command; return its exit code and its leftovers, and remove them if possible."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    before = take_stock()
    child = subprocess.Popen(command)
    code = _reap_until_end_of(child)
    deadline = time.monotonic() + grace_seconds
    while (processes := descendants(os.getpid())) and time.monotonic() < deadline:
        _reap()
        time.sleep(POLL_SECONDS)
    left = [f"process {pid}: {command_line(pid)[:300]}" for pid in processes]
    left.extend(left_since(before))
    _end(processes)
    clean_up()
    return code, left


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m devkit.realcluster.leftovers", description=__doc__)
    parser.add_argument(
        "--grace", type=float, default=GRACE_SECONDS, help="seconds that processes have to end"
    )
    parser.add_argument("command", nargs="+")
    parsed = parser.parse_args(arguments)
    code, left = run(parsed.command, grace_seconds=parsed.grace)
    for thing in left:
        print(f"Left behind: {thing}", file=sys.stderr)
    return code or (1 if left else 0)


# --- What there is ---


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        yield f"mount {before.split()[4]} ({after.split()[0]})"


def _links() -> Iterator[str]:
    """Return the links by name, with their bridges."""
    for link in LINKS.iterdir():
        bridge = link / "master"
        yield f"link {link.name}" + (f" of {bridge.resolve().name}" if bridge.exists() else "")


def _cgroups() -> Iterator[str]:
    for root in mounted_hierarchies():
        for folder, _, _ in os.walk(root):
            if any(name in folder for name in CLUSTER_CGROUPS):
                yield f"cgroup {folder}"


def _firewall_rules() -> Iterator[str]:
    for program in ("iptables-save", "ip6tables-save"):
        path = shutil.which(program)
        if path is not None and os.geteuid() == 0:
            rules = subprocess.run([path], capture_output=True, text=True, check=False).stdout.splitlines()
            yield from (f"{program}: {rule}" for rule in rules if rule.startswith("-A"))


def _settings() -> Iterator[str]:
    for name in SETTINGS:
        setting = Path("/proc/sys", name)
        if setting.exists():
            yield f"setting {name} = {setting.read_text().strip()}"


def _entries(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError, PermissionError):
        yield from folder.iterdir()


# --- Processes ---


def _reap_until_end_of(child: subprocess.Popen[bytes]) -> int:
    """Reap the command's orphans until it ends. The command handles signals itself."""
    # Ctrl-C reaches it without us.
    previous = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM)),
    }
    try:
        while True:
            pid, status = os.wait()
            if pid == child.pid:
                child.returncode = os.waitstatus_to_exitcode(status)
                return child.returncode if child.returncode >= 0 else 128 - child.returncode
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _end(processes: list[int]) -> None:
    while processes:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap()  # the first process of a PID namespace ends when the others have been reaped
        time.sleep(POLL_SECONDS)
        processes = descendants(os.getpid())
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
