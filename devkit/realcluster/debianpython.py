"""`make test-python314`, `make test-python315`: the tests on a Python of Debian testing with JupyterHub 5.5.

With 3.14 this is the chart's combination. The wheel is installed by pip with its dependencies, as a user would; of the
source there are only the tests.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from devkit.realcluster.build import ClusterUnavailableError, cache_folder
from devkit.realcluster.images import (
    REPOSITORY,
    asked_by,
    build_wheel,
    check_machine,
    download,
    find_mirror,
    fingerprint,
    made_once,
    pack,
    pinned_for,
    run,
)

SCRIPT = Path(__file__).parent / "debianpython.sh"
PYTHONS = ("3.14", "3.15")
HUB = 5
TOOLS = (
    "pytest",
    "pytest-asyncio",
    "pytest-xdist",
    "looptime",
    "hypothesis",
    "jupyterhub-kubespawner",
    "build",
    "hatchling",
    "editables",
)
# What tests read beside the code.
BESIDE = (
    "tests",
    "devkit",
    "docs",
    "helm-values",
    "requirements",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "jupyterhub_config.py",
)
LEFT_OUT = {
    "tests/test_wheel.py": "builds the wheel from the source, which is not here",
    "tests/chart/test_ways.py": "as above",
    "tests/docs/test_commands.py": "asks the repository's Makefile, for which there is no make here",
    "tests/devkit/demo": "runs from a checkout, with the proxy and its node",
    "tests/culler/browser": "drives chromium, which is not here",
    "tests/devkit/realcluster": "is about this machine's tools",
    "tests/devkit/differential": "compares with another package on the Python of developers",
    "tests/devkit/test_site.py": "makes pages with mkdocs, which no hub has",
    "tests/devkit/test_reference.py": "the pages are made with the latest JupyterHub",
}


def base(python: str) -> Path:
    """The root file system as a tar, from the cache or made now; raises ClusterUnavailableError."""

    def make(target: Path) -> None:
        check_machine()
        print(
            f"Making Debian testing's Python {python}; this takes a minute, once.",
            file=sys.stderr,
            flush=True,
        )
        root = target.parent / "root"
        run([*OWN_MOUNTS, SCRIPT, "base", root, find_mirror(), python])
        pack(root, target, ".")

    return made_once(cache_folder() / f"image-python{python}-{fingerprint(SCRIPT.read_text())}.tar", make)


OWN_MOUNTS = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def wheels(folder: Path, python: str) -> list[str]:
    """Fetch all wheels into a folder; return what pip is to install."""
    wheel = build_wheel(folder)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    pinned = pinned_for(f"{python}.0", (REPOSITORY / f"requirements/hub-{HUB}.txt").read_text())
    asked = asked_by(f"{python}.0", [*project["dependencies"], *project["optional-dependencies"]["demo"]])
    download([*asked, *TOOLS], pinned, folder, python=f"{python}.0")
    version = wheel.name.split("-")[1]
    return [f"k8s-hub[demo]=={version}", *TOOLS]


def project(folder: Path) -> None:
    """Copy the tests and what they read, without the code of the package."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in BESIDE:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)


def main(python: str, arguments: Sequence[str]) -> int:
    if python not in PYTHONS:
        print(f"{python!r} is none of the Pythons {', '.join(PYTHONS)}", file=sys.stderr)
        return 2
    try:
        system = base(python)
        with tempfile.TemporaryDirectory(prefix=f"k8s-hub-python{python}-") as place:
            root, fetched, tests = (Path(place) / name for name in ("root", "wheels", "project"))
            for folder in (root, fetched, tests):
                folder.mkdir()
            run(["tar", "--extract", f"--file={system}", f"--directory={root}"])
            requirements = wheels(fetched, python)
            project(tests)
            left_out = [f"--ignore={name}" for name in LEFT_OUT]
            on_all_cores = ["--numprocesses=auto", "--dist=worksteal", "-p", "no:cacheprovider"]
            command = ["python", "-m", "pytest", *on_all_cores, *left_out, *arguments]
            script = [
                *OWN_MOUNTS,
                SCRIPT,
                "test",
                root,
                fetched,
                tests,
                python,
                *requirements,
                "--",
                *command,
            ]
            return subprocess.run(script, cwd=REPOSITORY, env=os.environ, check=False).returncode
    except ClusterUnavailableError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
