"""What every test gets: virtual time where it asks for it, and a check that no task is left behind.

A test that waits is marked ``@pytest.mark.looptime``: the loop's clock then jumps to the next timer as
soon as nothing is left to do, and a mini cluster in the same loop lives in the same time.
"""

import asyncio
import inspect
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.realcluster", "tests.failures", "tests.wheels"]


def pytest_configure() -> None:
    """Keep looptime's look for "the current loop" of a test without one from making a loop nobody closes."""
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Take back what an application has configured for the logging of its process."""
    package = logging.getLogger("k8s_hub")
    handlers, level, propagates = [*package.handlers], package.level, package.propagate
    yield
    package.handlers[:] = handlers
    package.setLevel(level)
    package.propagate = propagates


@pytest.fixture
async def _no_leftover_tasks():
    """Fail the test that leaves an asyncio task running; set up first, so checked after all fixtures."""
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    left.discard(asyncio.current_task())
    assert not left, f"tasks left running: {[task.get_coro() for task in left]}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:  # the benchmarks' items, too, if they are collected in the same run
        if here in item.path.parents and inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.fixturenames.insert(0, "_no_leftover_tasks")
