"""The wheel: small, without tests, complete, and usable as a single file on Python's path."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from k8s_hub import __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, WHEEL = PYPROJECT["project"], PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
LARGEST = 700_000  # bytes: a ConfigMap has at most 1 MiB, in which the wheel is a third larger


def test_it_is_small_and_has_the_package_and_nothing_else(wheel):
    assert wheel.name == f"k8s_hub-{__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < LARGEST
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "k8s_hub").rglob("*") if path.is_file()}
    expected = {name for name in ours if "__pycache__" not in name}
    info = f"k8s_hub-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == expected
    assert not [name for name in names if "test" in name.lower()]


def test_it_names_its_dependencies_and_commands(wheel):
    with zipfile.ZipFile(wheel) as content:
        info = f"k8s_hub-{__version__}.dist-info"
        metadata = HeaderParser().parsestr(content.read(f"{info}/METADATA").decode())
        entries = content.read(f"{info}/entry_points.txt").decode()
    always = [one for one in metadata.get_all("Requires-Dist") if "extra ==" not in one]
    assert {name_of(one) for one in always} == {name_of(one) for one in PROJECT["dependencies"]}
    assert metadata["Version"] == __version__ == "0.2.0.dev0"
    assert "k8s-hub = k8s_hub.cli.main:main" in entries
    assert "k8s-hub = k8s_hub:KubeSpawner" in entries


def test_what_is_imported_is_declared():
    """... and what is declared is imported, but for the time zones, which zoneinfo finds by itself."""
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "k8s_hub").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in names_in(node)
    }
    others = imported - sys.stdlib_module_names - {"k8s_hub"}
    distributions = packages_distributions()
    declared = {name_of(one) for one in PROJECT["dependencies"]}
    brought_by_others = {"sqlalchemy", "yarl", "urllib3", "markupsafe"}  # by jupyterhub, aiohttp, ..., jinja2
    found = {normal(distributions[name][0]) for name in others}
    assert found - brought_by_others == declared - {"tzdata"}


def names_in(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return [node.module]
    return []


def name_of(requirement):
    return normal(re.match(r"[\w.-]+", requirement)[0])


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture
def run(wheel, without_orjson):
    """A function that runs Python with the wheel as it is on its path, and without orjson."""

    def run_python(*arguments):
        environment = {"PYTHONPATH": f"{wheel}:{without_orjson}", "PATH": "/usr/bin:/bin"}
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=wheel.parent, env=environment, capture_output=True, text=True, check=False
        )

    return run_python


FROM_A_FILE = """
import k8s_hub, k8s_hub.kube.connection, k8s_hub.culler.web.app as page
from k8s_hub.culler.web import base
from k8s_hub.kube.core import decoding
from k8s_hub.profiles.form import render_form
assert "Small" in render_form([{"display_name": "Small", "slug": "small", "default": True}], {})
print(k8s_hub.__file__, k8s_hub.KubeSpawner.__name__, k8s_hub.IdleCuller.__name__)
print(hasattr(decoding, "orjson"), (page.FILES / "page.css").is_file())
"""


def test_it_works_as_a_file_on_pythons_path_and_without_orjson(wheel, run):
    done = run("-c", FROM_A_FILE)
    place, spawner, culler, *facts = done.stdout.split()
    assert place == f"{wheel}/k8s_hub/__init__.py", done.stderr
    assert (spawner, culler, facts) == ("KubeSpawner", "IdleCuller", ["False", "True"])


@pytest.mark.parametrize("module", ["k8s_hub.culler", "k8s_hub"])
def test_its_commands_work_from_the_file(run, module):
    done = run("-m", module, "--version")
    assert (done.returncode, "0.2.0.dev0" in done.stdout) == (0, True), done.stderr
