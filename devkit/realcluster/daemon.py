"""A cluster with containers as a daemon, until a signal."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar

from devkit.realcluster import leftovers
from devkit.realcluster.build import ClusterUnavailableError
from devkit.realcluster.cleanup import clean_up
from devkit.realcluster.folders import LOCK, held, is_held
from devkit.realcluster.node.cluster import ContainerCluster, container_cluster
from devkit.realcluster.process import ProcessFailedError

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 3600  # with cold caches it builds binaries and images
STOP_SECONDS = 60
POLL_SECONDS = 0.1

T = TypeVar("T")


def run_until_signal(opening: AbstractContextManager[T], tell: Callable[[T], None]) -> int:
    """Start a cluster, print how to use it, and run until SIGINT or SIGTERM; return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with opening as cluster:
            tell(cluster)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except (ClusterUnavailableError, ProcessFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0  # another signal ended the pause


@dataclass(frozen=True, slots=True)
class Daemon:
    """The process and its folder with the kubeconfig and the logs."""

    folder: Path

    def up(self, hubs: Sequence[int]) -> int:
        """Start it, wait until its cluster is ready, and print how to use it."""
        if self.is_running:
            print(f"A cluster is up.\nexport KUBECONFIG={self.kubeconfig}")
            return 0
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        log = self.folder / "daemon.log"
        arguments = [f"--folder={self.folder}", *(f"--hub={hub}" for hub in hubs)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "devkit.realcluster", "keep", *arguments],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            with log.open() as told:
                is_up = self._is_up_in_time(process, told)
        except BaseException:
            _end(process)
            raise
        if not is_up:
            _end(process)
            print("The cluster did not come up.", file=sys.stderr)
            return 1
        return 0

    def keep(self, hubs: Sequence[int]) -> int:
        """Run the cluster in the foreground until a signal."""
        logs = self.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self._lock.write_text(str(os.getpid()))

        def tell(cluster: ContainerCluster) -> None:
            for hub in hubs:
                image = cluster.load_user_image(hub)
                own = f"--kubeconfig {self.kubeconfig} --image {image} --hub-address {cluster.gateway}"
                print(f'make demo HUB={hub} ARGS="{own}"')
            print(f"Its client is {cluster.binaries.kubectl}")
            print(f"export KUBECONFIG={self.kubeconfig}", flush=True)
            # Its appearance is the sign that all is there.
            draft = cluster.plane.write_kubeconfig(self.kubeconfig.with_suffix(".draft"))
            draft.rename(self.kubeconfig)

        with held(self._lock):
            return run_until_signal(container_cluster(logs=logs), tell)

    def down(self) -> int:
        """Stop it and wait; remove leftovers, also of killed clusters."""
        if self.is_running:
            os.kill(int(self._lock.read_text()), signal.SIGTERM)
            if not self._is_down_in_time():
                print(f"The cluster did not end within {STOP_SECONDS} s; see {self.folder}", file=sys.stderr)
                return 1
            print(f"The cluster is down. Its logs are in {self.folder / 'logs'}")
        else:
            print("No cluster is up.")
        self.kubeconfig.unlink(missing_ok=True)
        for name in clean_up():
            print(f"Removed what was left of {name}, which was killed.")
        left = leftovers.of_dead_clusters(leftovers.take_stock())
        for thing in sorted(left):
            print(f"Left behind: {thing}", file=sys.stderr)
        return 1 if left else 0

    @property
    def is_running(self) -> bool:
        """Return whether a process holds the folder's lock."""
        return is_held(self.folder)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, which exists once the cluster is ready."""
        return self.folder / "kubeconfig"

    @property
    def _lock(self) -> Path:
        return self.folder / LOCK

    def _is_up_in_time(self, process: subprocess.Popen[bytes], told: TextIO) -> bool:
        """Wait, and print its output."""
        deadline = time.monotonic() + START_SECONDS
        is_up = has_ended = False
        while not is_up and not has_ended and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            is_up, has_ended = self.kubeconfig.exists(), process.poll() is not None
            print(told.read(), end="", flush=True)
        return is_up

    def _is_down_in_time(self) -> bool:
        deadline = time.monotonic() + STOP_SECONDS
        while self.is_running and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return not self.is_running


def _end(process: subprocess.Popen[bytes]) -> None:
    """Signal it, and wait until it has stopped its parts."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    process.kill()
