"""What tests on real containers share: the users' image, a registry that refuses, and the demo in a namespace."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from devkit.demo.check import check
from devkit.demo.settings import Settings, claimed, free_port
from devkit.realcluster.node.cluster import ContainerCluster
from devkit.realcluster.registry import Registry
from devkit.realcluster.registry import registry as running_registry
from devkit.slow_callbacks import VARIABLE
from tests.failures import FailureTable

SLOW = 50  # milliseconds


@pytest.fixture(scope="session")
def user_image(container_cluster: ContainerCluster) -> str:
    """The name of the image for the version of JupyterHub that runs the tests; its hub can run in it too."""
    return container_cluster.load_user_image(int(version("jupyterhub").partition(".")[0]))


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """A registry that has no image, and says why: `registry.image(403)` is one that is denied."""
    with running_registry() as registry:
        yield registry


@pytest.fixture
def demo_settings(
    container_cluster: ContainerCluster, user_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Settings]]:
    """A function that settles a demo in a namespace of its own, with the rights that the chart gives to a hub.

    Its hub listens where pods reach it, and tells of callbacks that are slow. The logs are in pytest's temporary folder.
    """
    monkeypatch.setenv(VARIABLE, str(SLOW))
    plane = container_cluster.plane
    namespaces = []

    def settle(labels: Mapping[str, str] | None = None) -> Settings:
        namespace = plane.make_namespace()
        namespaces.append(f"/api/v1/namespaces/{namespace}")
        plane.admin.patch(namespaces[-1], {"metadata": {"labels": labels or {}}})
        token = plane.make_hub_account(namespace)
        return Settings(
            directory=tmp_path / namespace,
            port=free_port(),
            kubeconfig=plane.write_kubeconfig(
                tmp_path / f"{namespace}.kubeconfig", token=token, namespace=namespace
            ),
            image=user_image,
            namespace=namespace,
            hub_address=container_cluster.gateway,
        )

    yield settle
    for namespace in namespaces:
        plane.admin.delete(namespace)


@pytest.fixture
def names_of(container_cluster: ContainerCluster) -> Callable[[str, str], set[str]]:
    """A function that returns the names of a namespace's objects of one kind."""

    def names(namespace: str, plural: str) -> set[str]:
        found = container_cluster.plane.admin.get(f"/api/v1/namespaces/{namespace}/{plural}")["items"]
        return {obj["metadata"]["name"] for obj in found}

    return names


@pytest.fixture
def tell_story(
    names_of: Callable[[str, str], set[str]], failure_table: FailureTable, request: pytest.FixtureRequest
) -> Callable[[Settings], Awaitable[None]]:
    """A function that tells the demo's whole story; what it leaves are four claims and no pod."""

    async def tell(settings: Settings) -> None:
        with claimed(settings.directory):
            await check(settings)
        log = (settings.directory / "hub.log").read_text().splitlines()
        failure_table.slow_callbacks[request.node.name] = [line for line in log if "Slow callback: " in line]
        assert names_of(settings.namespace, "pods") == set()
        assert len(names_of(settings.namespace, "persistentvolumeclaims")) == 4

    return tell
