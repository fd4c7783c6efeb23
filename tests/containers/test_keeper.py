"""`make cluster-up` and `make cluster-down`, as people call them but for the folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devkit.realcluster.api import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.containers]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def box(tmp_path):
    """A function that calls a verb; the cluster is down at the end, whatever the test did."""
    folder = tmp_path / "cluster"

    def call(verb):
        command = [sys.executable, "-m", "devkit.realcluster", verb, f"--folder={folder}"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    yield call
    call("down")


@pytest.fixture
def kubectl(tmp_path):
    def call(up, *arguments):
        """Ask the cluster as the output of `up` says."""
        client = next(line for line in up.stdout.splitlines() if "client" in line).split()[-1]
        kubeconfig = up.stdout.splitlines()[-1].partition("KUBECONFIG=")[2]
        command = [client, f"--kubeconfig={kubeconfig}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    return call


def test_up_says_how_to_use_the_cluster_and_down_leaves_nothing_but_the_logs(box, kubectl, tmp_path):
    up = box("up")
    assert up.returncode == 0, up.stderr
    assert kubectl(up, "get", "nodes", "--output=name") == "node/box-node\n"
    again = box("up")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "A cluster is up.")
    down = box("down")
    assert (down.returncode, down.stderr) == (0, "")
    assert down.stdout.startswith("The cluster is down.")
    assert {path.name for path in (tmp_path / "cluster").iterdir()} == {"held", "keeper.log", "logs"}
    assert box("down").stdout.startswith("No cluster is up.")


def test_down_removes_what_a_killed_keeper_left(box, tmp_path):
    assert box("up").returncode == 0
    keeper = int((tmp_path / "cluster/held").read_text())
    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: not Path("/proc", str(keeper), "exe").exists(), "the end of the keeper")
    down = box("down")
    assert (down.returncode, down.stderr) == (0, "")
    assert down.stdout.startswith("No cluster is up.")
    assert "Removed what was left of k8s-hub-box-" in down.stdout
