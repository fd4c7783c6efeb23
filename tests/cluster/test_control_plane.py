"""The control plane itself: it comes up, does what clusters do, and leaves nothing behind."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import pytest

from devkit.realcluster import parts
from devkit.realcluster.api import RefusedError, wait_for
from devkit.realcluster.controlplane import control_plane as running_control_plane
from devkit.realcluster.process import ProcessFailedError

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]


def processes_mentioning(text: str) -> list[int]:
    """Living processes whose command line has a text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:  # it ended while we looked
            continue
        if text.encode() in command and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def test_a_pod_with_a_claim_runs_at_an_address_of_its_own(control_plane, fresh_namespace):
    core = f"/api/v1/namespaces/{fresh_namespace}"
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    control_plane.admin.create(
        f"{core}/persistentvolumeclaims", {"metadata": {"name": "home"}, "spec": claim}
    )
    spec = {
        "containers": [{"name": "notebook", "image": "example.test/notebook:1"}],
        "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}],
    }
    for name in ("one", "two"):
        control_plane.admin.create(f"{core}/pods", {"metadata": {"name": name}, "spec": spec})

    def addresses() -> set[str]:
        pods = control_plane.admin.get(f"{core}/pods")["items"]
        return {pod["status"].get("podIP") for pod in pods if pod["status"]["phase"] == "Running"}

    found = wait_for(lambda: addresses() if len(addresses()) == 2 else None, "two running pods")
    assert all(address.startswith("127.1.") for address in found)


def test_the_hubs_account_has_the_charts_rights_and_no_more(control_plane, fresh_namespace):
    hub = control_plane.api(control_plane.make_hub_account(fresh_namespace))
    core = f"/api/v1/namespaces/{fresh_namespace}"
    secret = hub.create(f"{core}/secrets", {"metadata": {"name": "token"}})
    assert secret["kind"] == "Secret"
    with pytest.raises(RefusedError, match="cannot patch resource") as refused:
        hub.patch(f"{core}/secrets/token", {"metadata": {"labels": {"a": "b"}}})
    assert refused.value.code == 403
    with pytest.raises(RefusedError, match="cannot list resource"):
        hub.get("/api/v1/pods")


def test_a_restarted_api_server_has_its_objects(control_plane, fresh_namespace):
    control_plane.restart_apiserver()
    assert control_plane.admin.get(f"/api/v1/namespaces/{fresh_namespace}")["status"]["phase"] == "Active"


def test_an_absent_api_server_refuses_connections(control_plane):
    with control_plane.absent_apiserver(), pytest.raises(URLError, match="Connection refused"):
        control_plane.admin.get("/version")
    assert control_plane.admin.get("/version")


def test_a_paused_api_server_does_not_answer(control_plane):
    impatient = dataclasses.replace(control_plane.admin, timeout_seconds=0.3)
    with control_plane.paused_apiserver():
        assert not impatient.is_ok("/version")
    assert control_plane.admin.is_ok("/version")


def test_history_can_be_forgotten_twice_in_a_row(control_plane):
    first = control_plane.forget_history()
    assert int(control_plane.forget_history()) >= int(first)


def test_the_controllers_work_at_once_after_a_restart(control_plane):
    """Restarts in a row do not make them back off, which would be for half a minute."""
    for _ in range(2):
        control_plane.restart_apiserver()
    namespace = control_plane.make_namespace()
    pods = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"containers": [{"name": "notebook", "image": "example.test/notebook:1"}]}
    control_plane.admin.create(pods, {"metadata": {"name": "one"}, "spec": spec})

    def is_running() -> bool:
        return control_plane.admin.get(f"{pods}/one")["status"]["phase"] == "Running"

    wait_for(is_running, "a running pod", seconds=20)


def test_a_kubeconfig_is_for_its_owner_only(control_plane, tmp_path):
    path = control_plane.write_kubeconfig(tmp_path / "kubeconfig")
    assert path.stat().st_mode & 0o777 == 0o600


def test_stopping_leaves_no_process_and_no_folder_but_the_logs(tmp_path):
    with running_control_plane(node_count=1, logs=tmp_path) as plane:
        folder = plane.layout.folder
        assert len(processes_mentioning(str(folder))) == 5
    assert not processes_mentioning(str(folder))
    assert not folder.exists()
    parts_with_logs = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "audit"}
    assert {log.stem for log in tmp_path.iterdir()} == parts_with_logs


def test_a_later_part_that_fails_unwinds_the_earlier_ones_and_shows_its_log(monkeypatch):
    """Nobody knows the scheduler's flag: etcd, the API server and the controller manager go again."""
    folders = []
    scheduler = parts.scheduler

    def broken(layout):
        folders.append(layout.folder)
        process = scheduler(layout)
        process.command = [*process.command, "--no-such-flag"]
        return process

    monkeypatch.setattr(parts, "scheduler", broken)
    with pytest.raises(ProcessFailedError, match=r"(?s)kube-scheduler ended with code 1.*no-such-flag"):
        running_control_plane(node_count=1).__enter__()
    assert not processes_mentioning(str(folders[0]))


def test_everything_dies_with_a_killed_parent():
    """No exit handler runs under SIGKILL: the kernel ends the children."""
    program = (
        "import time\n"
        "from devkit.realcluster.controlplane import control_plane\n"
        "with control_plane(node_count=1) as plane:\n"
        "    print(plane.layout.folder, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        folder = Path(parent.stdout.readline().strip())
        assert len(processes_mentioning(str(folder))) == 5
        parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not processes_mentioning(str(folder)), "the children of a killed parent", seconds=60)
    subprocess.run(["rm", "-r", str(folder)], check=True)


def test_the_command_prints_a_kubeconfig_and_ends_cleanly_when_told():
    command = [sys.executable, "-m", "devkit.realcluster"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        kubeconfig = Path(process.stdout.readline().strip())
        assert kubeconfig.is_file()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert not processes_mentioning(str(kubeconfig.parent))
    assert not kubeconfig.parent.exists()
