"""A stage for every test; without chromium the tests are skipped, or fail where CI is true."""

import os

import pytest

from devkit.realcluster.needs import BROWSER, INSTALL
from devkit.realcluster.suites import YES
from tests.culler.browser.stage import raised


@pytest.fixture(scope="session")
def browser_is_there():
    if BROWSER.is_there:
        return
    sentence = f"there is no {BROWSER.program}; run {INSTALL} as root (apt-get install {BROWSER.package})"
    if os.environ.get("CI", "").lower() in YES:
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture
def stage(browser_is_there, tmp_path):
    """Called with a Culling, raises a stage for ``async with``."""
    return lambda culling: raised(tmp_path, culling)
