"""Builds the images of users' servers and of hubs from packages, and caches them by a hash of their sources.

Each is a Docker archive of three layers: Debian with Python, the pinned packages, and the k8s_hub of this working tree. After a
change of the code, only the last layer is packed again.
"""

import hashlib
import io
import json
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from devkit.realcluster.build import ClusterUnavailableError, cache_folder, run_tool

REPOSITORY = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "image/install.sh"
HUBS = (5, 6)  # the supported versions of JupyterHub
SUITE = "bookworm"  # the script's
PYTHON = "3.11.2"  # the suite's
ENVIRONMENT = "opt/jupyter"  # the script's
PACKAGES = f"{ENVIRONMENT}/lib/python{PYTHON.rpartition('.')[0]}/site-packages"
KEPT_SECONDS = 1800  # each takes half a gigabyte; all loads of an older one are done by then
BUILD_DEADLINE_SECONDS = 1800  # two minutes on two idle cores, mostly downloads
NEEDED = ("debootstrap", "unshare", "tar")
# Made anew by every container, or of no use in one.
NOT_PACKED = ("./dev/*", "./proc/*", "./sys/*", "./run/*", "./tmp/*")
RUNTIME = {
    "User": "1000",  # a number, so that the kubelet can check that it is not root
    "WorkingDir": "/home/jovyan",
    "Env": [f"PATH=/{ENVIRONMENT}/bin:/usr/bin:/bin", "HOME=/home/jovyan", "LANG=C.UTF-8", "SHELL=/bin/bash"],
    "Cmd": ["jupyterhub-singleuser"],
}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def image_name(hub: int) -> str:
    """Return the image name of users' servers for this version of JupyterHub."""
    return f"k8s-hub/user:hub-{hub}"


def user_image(hub: int) -> Path:
    """Return the image's archive for `ctr images import`, from the cache or built now.

    Raises ClusterUnavailableError if that is impossible.
    """
    with tempfile.TemporaryDirectory(prefix="k8s-hub-image-") as folder:
        wheel = build_wheel(Path(folder))
        contents = [_base(), _packages(hub)]
        recipe = [*contents, _digest_of(wheel.read_bytes()), image_name(hub), json.dumps(RUNTIME)]
        archive = cache_folder() / f"image-hub-{hub}-{fingerprint(*map(str, recipe))}.tar"

        def make(target: Path) -> None:
            code = pack_wheel(wheel, Path(folder) / "code.tar")
            write_archive(target, name=image_name(hub), layers=[*contents, code])

        made_once(archive, make)
    _drop_older(archive)
    return archive


def hub_image_name(hub: int) -> str:
    """Return the image name of hubs."""
    return f"k8s-hub/hub:hub-{hub}"


def hub_image(hub: int) -> Path:
    """Return the archive of a hub's image, like `user_image`; helm-values/image/install.sh installs k8s_hub."""
    with tempfile.TemporaryDirectory(prefix="k8s-hub-image-") as folder:
        given = Path(folder)
        wheel = build_wheel(given)
        for file in (REPOSITORY / "helm-values/image").iterdir():
            shutil.copy(file, given)
        contents = [_base(), _packages(hub)]
        scripts = [(given / name).read_text() for name in ("install.sh", "requirements.txt")]
        recipe = [*map(str, contents), _digest_of(wheel.read_bytes()), *scripts, hub_image_name(hub)]
        archive = cache_folder() / f"image-of-hub-{hub}-{fingerprint(*recipe)}.tar"

        def make(target: Path) -> None:
            code = _install_hub(target.parent, contents, given)
            write_archive(target, name=hub_image_name(hub), layers=[*contents, code])

        made_once(archive, make)
    _drop_older(archive)
    return archive


def fingerprint(*made_of: str) -> str:
    """Return a short hash of the sources."""
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


# --- Layers ---


def _base() -> Path:
    """Return the layer with Debian and Python, for every version of the hub."""

    def make(target: Path, root: Path) -> None:
        _install("base", root, find_mirror())
        pack(root, target, ".")

    return _layer(f"image-base-{fingerprint(SCRIPT.read_text())}.tar", make)


def _packages(hub: int) -> Path:
    """Return the layer with the project's requirements and JupyterLab, in the pinned versions for this hub."""
    pinned = pinned_for(PYTHON, (REPOSITORY / f"requirements/hub-{hub}.txt").read_text())
    wanted = asked_by(PYTHON, runtime_requirements((REPOSITORY / "pyproject.toml").read_text()))
    recipe = [SCRIPT.read_text(), pinned, *wanted]

    def make(target: Path, root: Path) -> None:
        root.mkdir()
        with tempfile.TemporaryDirectory(prefix="k8s-hub-wheels-") as wheels:
            download(wanted, pinned, Path(wheels))
            run(["tar", "--extract", f"--file={_base()}", f"--directory={root}"])
            _install("packages", root, wheels, _installer(), *wanted)
        pack(root, target, f"./{ENVIRONMENT}")

    return _layer(f"image-packages-{hub}-{fingerprint(*recipe)}.tar", make)


def _install_hub(folder: Path, contents: Sequence[Path], given: Path) -> Path:
    """Return a layer with the script's changes to a root file system."""
    check_machine()
    root, layer = folder / "root", folder / "hub.tar"
    root.mkdir()
    for content in contents:
        run(["tar", "--extract", f"--file={content}", f"--directory={root}"])
    download((given / "requirements.txt").read_text().splitlines()[1:], "", given)
    begun = time.time()  # noqa: TID251 - file systems have wall time
    _install("hub", root, str(given), _installer())
    pack(root, layer, f"./{ENVIRONMENT}", f"--newer=@{begun}")
    return layer


def runtime_requirements(pyproject: str) -> list[str]:
    """Return the requirements of a project and its extra `demo`, from its pyproject.toml."""
    project = tomllib.loads(pyproject)["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["demo"]]


def pinned_for(python: str, pinned: str) -> str:
    """Return the pinned versions for this Python."""
    return "".join(f"{one}\n" for one in asked_by(python, pinned.splitlines()))


def asked_by(python: str, requirements: Sequence[str]) -> list[str]:
    """Return the requirements for the image's Python; pip would evaluate its own."""
    environment = {"python_version": python.rpartition(".")[0], "python_full_version": python}
    asked = [Requirement(one) for one in requirements]
    asked = [one for one in asked if one.marker is None or one.marker.evaluate(environment)]
    for one in asked:
        one.marker = None
    return [str(one) for one in asked]


def pack_wheel(wheel: Path, target: Path) -> Path:
    """Return a layer with the wheel's content in the image's Python environment."""
    with zipfile.ZipFile(wheel) as content, tarfile.open(target, "w") as layer:
        for item in content.infolist():
            entry = tarfile.TarInfo(f"{PACKAGES}/{item.filename}")
            _add(layer, entry, content.read(item))
    return target


def _layer(name: str, make: Callable[[Path, Path], None]) -> Path:
    """Return the layer's tar, from the cache or built now in a separate root file system."""

    def make_in_a_root(target: Path) -> None:
        check_machine()
        print(f"Making {name} of the box; this takes a minute or two, once.", file=sys.stderr, flush=True)
        make(target, target.parent / "root")

    return made_once(cache_folder() / name, make_in_a_root)


def made_once(finished: Path, make: Callable[[Path], None]) -> Path:
    """Return the finished file, which is created atomically."""
    if not finished.is_file():
        finished.parent.mkdir(parents=True, exist_ok=True)
        _drop_halves(finished)
        with tempfile.TemporaryDirectory(dir=finished.parent, prefix=f"{finished.stem}-") as folder:
            target = Path(folder) / finished.name
            make(target)
            target.rename(finished)
    return finished


def _drop_halves(finished: Path) -> None:
    """Remove folders of killed builders: those older than the build deadline."""
    for folder in finished.parent.glob("image-*/"):
        with suppress(FileNotFoundError):  # its builder has just finished
            if _age_of(folder) > BUILD_DEADLINE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _drop_older(archive: Path) -> None:
    """Remove old images of this hub's earlier code, except the requested one."""
    archive.touch()
    kind = archive.name.rpartition("-")[0]
    for other in archive.parent.glob(f"{kind}-*.tar"):
        with suppress(FileNotFoundError):  # another process also removes old images
            if _age_of(other) > KEPT_SECONDS:
                other.unlink()


def _age_of(path: Path) -> float:
    """Return the seconds since the last change."""
    return time.time() - path.stat().st_mtime  # noqa: TID251 - file systems have wall time


# --- The archive ---


def write_archive(
    target: Path, *, name: str, layers: Sequence[Path], runtime: Mapping[str, Any] = RUNTIME
) -> None:
    """Write a Docker archive: the layers from the lowest to the highest, and the configuration."""
    digests = [_digest(layer) for layer in layers]
    config = json.dumps(
        {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": runtime,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        }
    ).encode()
    names = [f"{digest}/layer.tar" for digest in digests]
    config_name = f"{_digest_of(config)}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": names}]
    with tarfile.open(target, "w") as archive:
        for entry, layer in zip(names, layers, strict=True):
            archive.add(layer, entry)
        _add(archive, tarfile.TarInfo(config_name), config)
        _add(archive, tarfile.TarInfo("manifest.json"), json.dumps(manifest).encode())


def _add(archive: tarfile.TarFile, entry: tarfile.TarInfo, content: bytes) -> None:
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- The tools ---


def find_mirror() -> str:
    """Return this machine's Debian mirror, from its apt configuration."""
    listed = run(["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)"])
    for line in listed.splitlines():
        suite, component, mirror = line.split(maxsplit=2)
        if (suite, component) == (SUITE, "main"):
            return mirror
    raise ClusterUnavailableError(
        f"The user image is made from Debian {SUITE}, which apt of this machine does not list."
    )


def check_machine() -> None:
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    if missing:
        raise ClusterUnavailableError(
            f"The user image needs {', '.join(missing)}: no such program on the PATH."
        )
    if os.geteuid() != 0:
        raise ClusterUnavailableError("The user image is a root file system, and only root can make one.")


def _install(act: str, root: Path, *arguments: str) -> None:
    """Run the script in namespaces, so that no mount or process outlives it."""
    run(["unshare", "--mount", "--pid", "--fork", "--kill-child", SCRIPT, act, root, *arguments])


def download(requirements: Sequence[str], pinned: str, wheels: Path, *, python: str = PYTHON) -> None:
    """Fetch wheels with this machine's pip and its configuration; the root file system needs no network."""
    constraints = wheels / "constraints.txt"
    constraints.write_text(pinned)
    options = ["--quiet", "--only-binary=:all:", f"--python-version={python}", f"--constraint={constraints}"]
    run([sys.executable, "-m", "pip", "download", *options, f"--dest={wheels}", *requirements])


def _installer() -> str:
    """Return the folder of this environment's pip, which any Python can run."""
    found = find_spec("pip")
    if found is None or found.origin is None:
        raise ClusterUnavailableError("The user image needs pip in the environment that runs the tests.")
    return str(Path(found.origin).parent)


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this working tree, reproducibly."""
    run([sys.executable, "-m", "hatchling", "build", "--target=wheel", f"--directory={folder}"])
    (wheel,) = folder.glob("*.whl")
    return wheel


def pack(root: Path, target: Path, content: str, *more: str) -> None:
    left_out = [f"--exclude={pattern}" for pattern in NOT_PACKED]
    options = ["--create", "--sort=name", "--numeric-owner", "--one-file-system", *left_out, *more]
    run(["tar", *options, f"--directory={root}", f"--file={target}", content])


def run(command: Sequence[str | Path]) -> str:
    return run_tool(command, folder=REPOSITORY, seconds=BUILD_DEADLINE_SECONDS)


def main() -> int:
    try:
        archives = [user_image(hub) for hub in HUBS]
    except ClusterUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    print("The user images are ready:", *archives)
    return 0


if __name__ == "__main__":
    sys.exit(main())
