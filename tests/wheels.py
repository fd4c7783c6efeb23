"""The wheel as a release makes it, and a Python path on which only that is."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = (sys.executable, "-m", "build", "--wheel", "--no-isolation", f"--outdir={folder}")
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def without_orjson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that hides orjson where it is on Python's path: the chart's image has none."""
    folder = tmp_path_factory.mktemp("without-orjson")
    (folder / "orjson.py").write_text('raise ImportError("not installed")\n')
    return folder
