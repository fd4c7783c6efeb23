"""What tests on real containers share: users' images, a registry that refuses, and hubs that pods reach."""

from collections.abc import Iterator

import pytest

from tests.box.registry import Registry
from tests.box.registry import registry as running_registry


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """A registry that has no image, and says why: `registry.image(403)` is one that is denied."""
    with running_registry() as registry:
        yield registry
