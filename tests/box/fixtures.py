"""The box for tests: one control plane for the whole session, a fresh namespace for each test."""

from collections.abc import Iterator

import pytest

from tests.box import controlplane


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[controlplane.ControlPlane]:
    """Started when the first test asks for it; an error, never a skip, where it cannot be built.

    Its logs are in pytest's temporary folder, which outlives the session.
    """
    with controlplane.control_plane(logs=tmp_path_factory.mktemp("box")) as plane:
        yield plane


@pytest.fixture
def fresh_namespace(control_plane: controlplane.ControlPlane) -> Iterator[str]:
    """A namespace of the real cluster; its deletion goes on behind the test."""
    name = control_plane.make_namespace()
    yield name
    control_plane.admin.delete(f"/api/v1/namespaces/{name}")
