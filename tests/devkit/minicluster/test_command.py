import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest


@pytest.fixture
def cluster(tmp_path):
    """A cluster as a process; killed when the test forgets to stop it."""
    command = [sys.executable, "-m", "devkit", "cluster", "--directory", str(tmp_path), "--pods", "listener"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_cluster_prints_its_kubeconfig_serves_and_ends_when_told(tmp_path, cluster):
    kubeconfig = Path(cluster.stdout.readline().strip())
    assert kubeconfig == tmp_path / "kubeconfig"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600

    content = json.loads(kubeconfig.read_text())
    url, token = content["clusters"][0]["cluster"]["server"], content["users"][0]["user"]["token"]
    request = Request(f"{url}/api/v1/namespaces/default/pods", headers={"Authorization": f"Bearer {token}"})
    with urlopen(request) as reply:
        assert json.load(reply)["items"] == []

    cluster.send_signal(signal.SIGTERM)
    assert cluster.wait(timeout=10) == 143
