"""The node itself: containers run on it, are reached and limited, and nothing of it is left behind."""

import os
import signal
import subprocess
import sys
import tarfile
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from devkit.realcluster import leftovers
from devkit.realcluster.api import wait_for
from devkit.realcluster.cgroups import groups_below
from devkit.realcluster.cleanup import clean_up
from devkit.realcluster.images import write_archive
from devkit.realcluster.living import command_line, descendants, living
from devkit.realcluster.network import LINKS
from devkit.realcluster.node import cluster as cluster_module
from devkit.realcluster.node.cluster import container_cluster as running_cluster
from devkit.realcluster.process import ProcessFailedError

pytestmark = [pytest.mark.cluster, pytest.mark.containers]
ROOT = Path(__file__).parents[2]
IMAGE = "k8s-hub/busybox:test"


def is_running(pod):
    return pod["status"]["phase"] == "Running"


def has_ended(pod):
    return pod["status"]["phase"] in {"Succeeded", "Failed"}


def address_of(pod):
    return f"http://{pod['status']['podIP']}:8888"


def answers(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status == 200


def run_busybox(plane, namespace, name, *command, until=is_running, container=None, **spec):
    """Run an applet as a pod's only container; answers the pod when it is as wanted."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    main = {"name": "main", "image": IMAGE, "command": ["/bin/busybox", *command], **(container or {})}
    spec = {"containers": [main], "terminationGracePeriodSeconds": 1, "restartPolicy": "Never", **spec}
    plane.admin.create(pods, {"metadata": {"name": name}, "spec": spec})

    def waited_for():
        pod = plane.admin.get(f"{pods}/{name}")
        return pod if until(pod) else None

    return wait_for(waited_for, f"pod {name}", seconds=120)


@pytest.fixture(scope="session")
def busybox(tmp_path_factory):
    """The archive of an image with little in it."""
    folder = tmp_path_factory.mktemp("busybox")
    with tarfile.open(folder / "layer.tar", "w") as layer:
        layer.add("/bin/busybox", "bin/busybox")
    write_archive(folder / "busybox.tar", name=IMAGE, layers=[folder / "layer.tar"], runtime={})
    return folder / "busybox.tar"


@pytest.fixture
def namespace(container_cluster, busybox):
    container_cluster.load_image(busybox)
    name = container_cluster.plane.make_namespace()
    yield name
    container_cluster.plane.admin.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def run_pod(container_cluster, namespace):
    """A function that runs a busybox applet in a pod of the test's namespace."""

    def run(name, *command, **options):
        return run_busybox(container_cluster.plane, namespace, name, *command, **options)

    return run


# --- What containers can do ---


def test_the_host_reaches_a_pod_by_its_address(run_pod):
    assert answers(address_of(run_pod("web", "httpd", "-f", "-p", "8888", "-h", "/bin")) + "/busybox")


def test_a_pod_reaches_what_listens_on_the_gateways_address(container_cluster, run_pod):
    class Hello(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

    with HTTPServer((container_cluster.gateway, 0), Hello) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        address = f"http://{container_cluster.gateway}:{server.server_port}/"
        pod = run_pod("client", "wget", "-q", "-O", "-", address, until=has_ended)
        server.shutdown()
        thread.join()
    assert pod["status"]["phase"] == "Succeeded"


def test_a_container_that_eats_more_memory_than_its_limit_is_oom_killed(run_pod):
    limit = {"resources": {"limits": {"memory": "64Mi"}}}
    pod = run_pod("eater", "tail", "/dev/zero", container=limit, until=has_ended)
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled"


def test_a_user_has_a_volume_to_write_to_and_its_folder_goes_with_the_claim(
    container_cluster, namespace, run_pod
):
    core = f"/api/v1/namespaces/{namespace}"
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    container_cluster.plane.admin.create(
        f"{core}/persistentvolumeclaims", {"metadata": {"name": "home"}, "spec": claim}
    )
    user = {"runAsUser": 1000, "runAsGroup": 100, "fsGroup": 100}
    volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}]
    mounted = {"volumeMounts": [{"name": "home", "mountPath": "/home"}]}
    for command in (["mkdir", "/home/notebooks"], ["rmdir", "/home/notebooks"]):
        pod = run_pod(
            command[0], *command, until=has_ended, container=mounted, volumes=volumes, securityContext=user
        )
        assert pod["status"]["phase"] == "Succeeded"
        container_cluster.plane.admin.delete(f"{core}/pods/{command[0]}")
    bound = container_cluster.plane.admin.get(f"{core}/persistentvolumeclaims/home")["spec"]["volumeName"]
    volume = container_cluster.plane.admin.get(f"/api/v1/persistentvolumes/{bound}")
    # Only its own: those of the tests before go in their own time, up to minutes after their pods.
    folder = container_cluster.folder / "volumes" / Path(volume["spec"]["hostPath"]["path"]).name
    assert folder.is_dir()
    container_cluster.plane.admin.delete(f"{core}/persistentvolumeclaims/home")
    # A volume that was still in use at the first try is tried again after up to two minutes.
    wait_for(lambda: not folder.exists(), "the end of the volume's folder", seconds=150)


def test_kubectl_shows_logs_and_runs_commands(container_cluster, namespace, run_pod, tmp_path):
    pod = run_pod("speaker", "sh", "-c", "echo said; exec /bin/busybox sleep 600")
    kubeconfig = container_cluster.plane.write_kubeconfig(tmp_path / "kubeconfig", namespace=namespace)

    def kubectl(*arguments):
        command = [container_cluster.binaries.kubectl, f"--kubeconfig={kubeconfig}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert (
        kubectl("exec", "speaker", "--", "/bin/busybox", "hostname", "-i").strip() == pod["status"]["podIP"]
    )
    assert kubectl("logs", "speaker") == "said\n"


# --- A lost node ---


def test_a_silent_kubelet_loses_the_node_and_its_containers_go_on(container_cluster, namespace, run_pod):
    web = address_of(run_pod("web", "httpd", "-f", "-p", "8888", "-h", "/bin")) + "/busybox"
    admin = container_cluster.plane.admin

    def ready(path):
        conditions = admin.get(path)["status"]["conditions"]
        return next(one["status"] for one in conditions if one["type"] == "Ready")

    node, pod = f"/api/v1/nodes/{container_cluster.node}", f"/api/v1/namespaces/{namespace}/pods/web"
    with container_cluster.lost_kubelet():
        wait_for(lambda: ready(node) == "Unknown", "the loss of the node", seconds=120)
        wait_for(lambda: ready(pod) == "False", "a pod that is not ready", seconds=60)
        assert answers(web)
    assert ready(node) == "True"
    wait_for(lambda: ready(pod) == "True", "a ready pod", seconds=120)
    assert answers(web)
    assert admin.get(pod)["status"]["containerStatuses"][0]["restartCount"] == 0


# --- Start and stop ---


@pytest.fixture
def nothing_left():
    """A function that fails when there is more than at the test's start."""
    stock, processes = leftovers.take_stock(), set(descendants(os.getpid()))

    def check():
        assert leftovers.left_since(stock) == []
        # The session's own cluster lives, and starts processes that end soon.
        wait_for(lambda: set(descendants(os.getpid())) <= processes, "the end of all processes", seconds=60)

    return check


def run_a_pod(cluster, busybox):
    cluster.load_image(busybox)
    namespace = cluster.plane.make_namespace()
    return run_busybox(cluster.plane, namespace, "web", "httpd", "-f", "-p", "8888", "-h", "/bin")


def test_stopping_leaves_nothing_but_the_logs(nothing_left, busybox, tmp_path):
    with running_cluster(logs=tmp_path) as cluster:
        assert answers(address_of(run_a_pod(cluster, busybox)) + "/busybox")
        bridge, groups = cluster.network.bridge, list(groups_below(cluster.folder.name))
        assert any(group.name.startswith("pod") for group in groups)
        assert (LINKS / bridge).exists()
    nothing_left()
    assert not any(group.exists() for group in groups)
    assert {log.stem for log in tmp_path.iterdir()} >= {"containerd", "kubelet", "kube-apiserver", "etcd"}


def test_a_later_part_that_fails_unwinds_the_earlier_ones_and_shows_its_log(
    nothing_left, monkeypatch, tmp_path
):
    kubelet = cluster_module.kubelet

    def broken(*arguments, **options):
        process = kubelet(*arguments, **options)
        process.command = [*process.command, "--no-such-flag"]
        return process

    monkeypatch.setattr(cluster_module, "kubelet", broken)
    with pytest.raises(ProcessFailedError, match=r"(?s)kubelet ended with code 1.*no-such-flag"):
        running_cluster(logs=tmp_path).__enter__()
    nothing_left()
    assert "no-such-flag" in (tmp_path / "kubelet.log").read_text()


def test_parts_that_died_are_all_told_of_and_the_rest_goes_all_the_same(nothing_left, busybox, tmp_path):
    def chain(error):
        while error:
            yield str(error)
            error = error.__context__

    def run_and_lose_parts():
        with running_cluster(logs=tmp_path) as cluster:
            run_a_pod(cluster, busybox)
            for part in (cluster.containerd, cluster.kubelet):
                os.killpg(part.pid, signal.SIGKILL)
                wait_for(lambda part=part: not part.is_alive, f"the death of {part.name}")

    with pytest.raises(ProcessFailedError) as failed:
        run_and_lose_parts()
    told = "\n".join(chain(failed.value))
    assert "kubelet had ended by itself, with code -9" in told
    assert "containerd had ended by itself, with code -9" in told
    nothing_left()


def test_a_killed_run_leaves_no_container_and_the_next_one_removes_the_rest(nothing_left, busybox):
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from devkit.realcluster.node.cluster import container_cluster\n"
        "from tests.containers.test_node import run_a_pod\n"
        "with container_cluster() as cluster:\n"
        "    run_a_pod(cluster, Path(sys.argv[1]))\n"
        "    print(cluster.folder, cluster.plane.layout.folder, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(busybox)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as killed:
        try:
            folder, plane = map(Path, killed.stdout.readline().split())
            groups = [group for group in groups_below(folder.name) if processes_of(group)]
            assert groups
            assert processes_mentioning(plane)
        finally:
            killed.kill()
    wait_for(lambda: not any(map(processes_of, groups)), "the end of the containers", seconds=60)
    wait_for(lambda: not any(map(processes_mentioning, (folder, plane))), "the end of all parts", seconds=60)
    removed = clean_up()
    assert {folder.name, plane.name} <= set(removed)
    nothing_left()


def processes_mentioning(folder):
    """Those that live and have its path among their words."""
    return [one.pid for one in living() if str(folder) in command_line(one.pid)]


def processes_of(group):
    """The processes in a cgroup."""
    return (group / "cgroup.procs").read_text().split()


# --- `make cluster-up` and `make cluster-down`, as people call them but for the folder ---


@pytest.fixture
def cluster(tmp_path):
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


def test_up_says_how_to_use_the_cluster_and_down_leaves_nothing_but_the_logs(cluster, kubectl, tmp_path):
    up = cluster("up")
    assert up.returncode == 0, up.stderr
    assert kubectl(up, "get", "nodes", "--output=name") == "node/box-node\n"
    again = cluster("up")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "A cluster is up.")
    down = cluster("down")
    assert (down.returncode, down.stderr) == (0, "")
    assert down.stdout.startswith("The cluster is down.")
    assert {path.name for path in (tmp_path / "cluster").iterdir()} == {"held", "daemon.log", "logs"}
    assert cluster("down").stdout.startswith("No cluster is up.")


def test_down_removes_what_a_killed_daemon_left(cluster, tmp_path):
    assert cluster("up").returncode == 0
    daemon = int((tmp_path / "cluster/held").read_text())
    os.kill(daemon, signal.SIGKILL)
    wait_for(lambda: not Path("/proc", str(daemon), "exe").exists(), "the end of the daemon")
    down = cluster("down")
    assert (down.returncode, down.stderr) == (0, "")
    assert down.stdout.startswith("No cluster is up.")
    assert "Removed what was left of k8s-hub-box-" in down.stdout
