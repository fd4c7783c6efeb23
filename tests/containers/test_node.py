"""The node itself: containers run on it, are reached and limited, and nothing of it is left behind."""

import tarfile
import urllib.request

import pytest

from tests.box.api import wait_for
from tests.box.images import write_archive

pytestmark = [pytest.mark.cluster, pytest.mark.containers]
IMAGE = "k8s-hub/busybox:test"


@pytest.fixture(scope="session")
def busybox(container_cluster, tmp_path_factory):
    """The name of an image with little in it."""
    folder = tmp_path_factory.mktemp("busybox")
    with tarfile.open(folder / "layer.tar", "w") as layer:
        layer.add("/bin/busybox", "bin/busybox")
    write_archive(folder / "busybox.tar", name=IMAGE, layers=[folder / "layer.tar"], runtime={})
    container_cluster.load_image(folder / "busybox.tar")
    return IMAGE


@pytest.fixture
def namespace(container_cluster):
    name = container_cluster.plane.make_namespace()
    yield name
    container_cluster.plane.admin.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def run_pod(container_cluster, namespace, busybox):
    """A function that runs a busybox applet as a pod's only container and answers the pod when it runs."""
    pods = f"/api/v1/namespaces/{namespace}/pods"

    def run(name, *command, wait=lambda pod: pod["status"]["phase"] == "Running", container=None, **spec):
        main = {"name": "main", "image": busybox, "command": ["/bin/busybox", *command], **(container or {})}
        pod = {
            "metadata": {"name": name},
            "spec": {
                "containers": [main],
                "terminationGracePeriodSeconds": 1,
                "restartPolicy": "Never",
                **spec,
            },
        }
        container_cluster.plane.admin.create(pods, pod)

        def waited_for():
            pod = container_cluster.plane.admin.get(f"{pods}/{name}")
            return pod if wait(pod) else None

        return wait_for(waited_for, f"pod {name}", seconds=60)

    return run


def test_the_host_reaches_a_pod_by_its_address(run_pod):
    pod = run_pod("web", "httpd", "-f", "-p", "8888", "-h", "/bin")
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8888/busybox", timeout=10) as answer:
        assert answer.status == 200


def test_a_container_that_eats_more_memory_than_its_limit_is_oom_killed(run_pod):
    limit = {"resources": {"limits": {"memory": "64Mi"}}}
    pod = run_pod(
        "eater", "tail", "/dev/zero", container=limit, wait=lambda pod: pod["status"]["phase"] == "Failed"
    )
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled"
