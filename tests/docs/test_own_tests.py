"""A developer's tests of their own, as the docs have them, pass in a folder outside the checkout."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PROGRESS = ROOT / "docs" / "howto" / "progress.md"
OWN = "/path/to/your/tests"


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def command(folder):
    (line,) = (line for block in blocks(ARCHITECTURE, "bash") for line in block.splitlines() if OWN in line)
    program, *arguments = shlex.split(line.replace(OWN, str(folder)))
    assert program == ".venv/bin/pytest"
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]


@pytest.mark.slow
@pytest.mark.parametrize("is_package", [False, True])
def test_the_tests_in_the_docs_pass(tmp_path, is_package):
    """The folder's name is also that of a package in the checkout."""
    folder = tmp_path / "tests"
    folder.mkdir()
    if is_package:
        (folder / "__init__.py").touch()
    tests = [
        code for page in (ARCHITECTURE, PROGRESS) for code in blocks(page, "python") if "def test_" in code
    ]
    for number, code in enumerate(tests):
        (folder / f"test_{number}.py").write_text(
            code.replace("from rules", "from .rules" if is_package else "from rules")
        )
    (rules,) = (code for code in blocks(PROGRESS, "python") if "c.KubeSpawner.diagnosis_rules" in code)
    (folder / "rules.py").write_text(rules.partition("c.KubeSpawner")[0])

    ended = subprocess.run(command(folder), cwd=ROOT, capture_output=True, text=True, check=False)

    assert len(tests) == 3
    assert "3 passed" in ended.stdout, ended.stdout + ended.stderr
    assert ended.returncode == 0
