"""Options of the benchmarks, and the mini cluster in real time."""

import gc
import logging

import pytest

from devkit.testing.runs import listening_cluster
from k8s_hub.kube.pool import InformerPool


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quiet-seconds", type=float, default=60, help="how long a quiet cluster is watched")
    parser.addoption("--rounds", type=int, default=3, help="how often each figure is taken")
    parser.addoption("--scale", type=float, default=1.0, help="part of the users in benchmarks of large hubs")


@pytest.fixture
def scale(request: pytest.FixtureRequest) -> float:
    return request.config.getoption("scale", 1.0)


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("rounds", 3)


@pytest.fixture
def quiet_seconds(request: pytest.FixtureRequest) -> float:
    return request.config.getoption("quiet_seconds", 60)


@pytest.fixture(autouse=True)
def _clean_start():
    """Have no benchmark pay for what the one before it left to the garbage collector, nor for a captured log."""
    gc.collect()
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
async def pool():
    """What the spawners of this loop share; closed at the end."""
    yield InformerPool.for_current_loop()
    await InformerPool.for_current_loop().close()


@pytest.fixture
async def cluster(tmp_path, monkeypatch):
    """A mini cluster whose pods are listeners; the kubeconfig of the environment leads to it."""
    async with listening_cluster(tmp_path, monkeypatch) as cluster:
        yield cluster
