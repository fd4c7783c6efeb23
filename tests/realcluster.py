"""The real cluster for tests: one control plane, or one cluster with containers, for the whole session."""

from collections.abc import Iterator

import pytest

from devkit.realcluster import controlplane
from devkit.realcluster.node import cluster
from devkit.realcluster.node.cluster import ContainerCluster


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[controlplane.ControlPlane]:
    """Started when the first test asks for it; an error, never a skip, where it cannot be built.

    Its logs are in pytest's temporary folder, which outlives the session.
    """
    with controlplane.control_plane(logs=tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture
def fresh_namespace(control_plane: controlplane.ControlPlane) -> Iterator[str]:
    """A namespace of the real cluster; its deletion goes on behind the test."""
    name = control_plane.make_namespace()
    yield name
    control_plane.admin.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def container_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerCluster]:
    """Started when the first test asks for it; an error, never a skip, where it cannot be.

    Images are brought in by who needs them: `load_user_image`, `load_image`.
    """
    with cluster.container_cluster(logs=tmp_path_factory.mktemp("container-cluster")) as running:
        yield running
