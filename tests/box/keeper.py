"""A cluster with containers for people: a process in the background keeps it until it is told to end."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.box.build import BoxUnavailableError
from tests.box.folders import LOCK, held, is_held
from tests.box.node.cluster import container_cluster
from tests.box.process import ProcessFailedError

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / ".cluster"
START_SECONDS = 1800  # cold caches: binaries and an image are made
STOP_SECONDS = 60
POLL_SECONDS = 0.1


def up(hub: int) -> int:
    """Start a keeper and wait until its cluster is there; prints how to use it."""
    kubeconfig, log = FOLDER / "kubeconfig", FOLDER / "keeper.log"
    if is_running():
        print(f"A cluster is up: export KUBECONFIG={kubeconfig}")
        return 0
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.box", "keep", f"--hub={hub}"],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while keeper.poll() is None and time.monotonic() < deadline:
        if kubeconfig.exists():
            print(log.read_text(), end="")
            return 0
        time.sleep(POLL_SECONDS)
    keeper.terminate()
    keeper.wait()
    print(f"The cluster did not come up.\n{log.read_text()}", file=sys.stderr)
    return 1


def keep(hub: int) -> int:
    """Run the cluster until a signal; what people need is in the folder then."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logs = FOLDER / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    (FOLDER / LOCK).write_text(str(os.getpid()))
    with held(FOLDER / LOCK), contextlib.suppress(KeyboardInterrupt):
        try:
            with container_cluster(logs=logs) as cluster:
                image = cluster.load_user_image(hub)
                draft = cluster.plane.write_kubeconfig(FOLDER / "kubeconfig.draft")
                print(f"The cluster is up. Its image is {image}, its kubectl {cluster.binaries.kubectl}")
                print(f"export KUBECONFIG={FOLDER / 'kubeconfig'}", flush=True)
                draft.rename(FOLDER / "kubeconfig")
                signal.pause()
        except (BoxUnavailableError, ProcessFailedError) as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def down() -> int:
    """End the keeper and wait until it has."""
    if not is_running():
        print("No cluster is up.")
        return 0
    os.kill(int((FOLDER / LOCK).read_text()), signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while is_running():
        if time.monotonic() > deadline:
            print(f"The cluster did not end within {STOP_SECONDS} s; see {FOLDER}", file=sys.stderr)
            return 1
        time.sleep(POLL_SECONDS)
    (FOLDER / "kubeconfig").unlink(missing_ok=True)
    print(f"The cluster is down. Its logs are in {FOLDER / 'logs'}")
    return 0


def is_running() -> bool:
    """Is there a keeper?"""
    return (FOLDER / LOCK).exists() and is_held(FOLDER)
