"""The image of users' servers and of hubs: made from packages by one script, kept in a cache named by what made it.

A Docker archive of three layers, by how seldom they change: Debian with Python, the pinned packages, and the
k8s_hub of this working tree. A change of the code packs anew; it installs nothing.
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
KEPT_SECONDS = 1800  # half a gigabyte for each state of the code: whoever loads one is done by then
BUILD_DEADLINE_SECONDS = 1800  # two minutes on two idle cores, mostly downloads
NEEDED = ("debootstrap", "unshare", "tar")
# Made anew by every container, or of no use in one.
NOT_PACKED = ("./dev/*", "./proc/*", "./sys/*", "./run/*", "./tmp/*")
RUNTIME = {
    "User": "1000",  # a number: only so can a kubelet tell that it is not root
    "WorkingDir": "/home/jovyan",
    "Env": [f"PATH=/{ENVIRONMENT}/bin:/usr/bin:/bin", "HOME=/home/jovyan", "LANG=C.UTF-8", "SHELL=/bin/bash"],
    "Cmd": ["jupyterhub-singleuser"],
}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def image_name(hub: int) -> str:
    """What a pod's `image` says for this version of JupyterHub."""
    return f"k8s-hub/user:hub-{hub}"


def user_image(hub: int) -> Path:
    """The image's archive, from the cache or made now; raises ClusterUnavailableError when that is impossible.

    `ctr images import` takes it.
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
    """What the `image` of a hub's pod says."""
    return f"k8s-hub/hub:hub-{hub}"


def hub_image(hub: int) -> Path:
    """The archive of a hub's image, as `user_image`: k8s_hub is there as helm-values/image/install.sh puts it there."""
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
    """Short, and another one for other ingredients."""
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


# --- Layers ---


def _base() -> Path:
    """Debian with Python, for every version of the hub."""

    def make(target: Path, root: Path) -> None:
        _install("base", root, find_mirror())
        pack(root, target, ".")

    return _layer(f"image-base-{fingerprint(SCRIPT.read_text())}.tar", make)


def _packages(hub: int) -> Path:
    """What this project needs when it runs, and JupyterLab, in the versions that are pinned for this hub."""
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
    """A layer with what the script changes in a root file system with these contents."""
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
    """What a project and its extra `demo` ask for, out of its pyproject.toml."""
    project = tomllib.loads(pyproject)["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["demo"]]


def pinned_for(python: str, pinned: str) -> str:
    """The versions that a file with pins for many Pythons has for this one."""
    return "".join(f"{one}\n" for one in asked_by(python, pinned.splitlines()))


def asked_by(python: str, requirements: Sequence[str]) -> list[str]:
    """Those of some requirements that are for this Python; pip would ask its own."""
    environment = {"python_version": python.rpartition(".")[0], "python_full_version": python}
    asked = [Requirement(one) for one in requirements]
    asked = [one for one in asked if one.marker is None or one.marker.evaluate(environment)]
    for one in asked:
        one.marker = None
    return [str(one) for one in asked]


def pack_wheel(wheel: Path, target: Path) -> Path:
    """A layer with the wheel's content where the image's Python finds it."""
    with zipfile.ZipFile(wheel) as content, tarfile.open(target, "w") as layer:
        for item in content.infolist():
            entry = tarfile.TarInfo(f"{PACKAGES}/{item.filename}")
            _add(layer, entry, content.read(item))
    return target


def _layer(name: str, make: Callable[[Path, Path], None]) -> Path:
    """The layer's tar, from the cache or made now in a root file system of its own."""

    def make_in_a_root(target: Path) -> None:
        check_machine()
        print(f"Making {name} of the box; this takes a minute or two, once.", file=sys.stderr, flush=True)
        make(target, target.parent / "root")

    return made_once(cache_folder() / name, make_in_a_root)


def made_once(finished: Path, make: Callable[[Path], None]) -> Path:
    """The finished file, which appears whole or not at all."""
    if not finished.is_file():
        finished.parent.mkdir(parents=True, exist_ok=True)
        _drop_halves(finished)
        with tempfile.TemporaryDirectory(dir=finished.parent, prefix=f"{finished.stem}-") as folder:
            target = Path(folder) / finished.name
            make(target)
            target.rename(finished)
    return finished


def _drop_halves(finished: Path) -> None:
    """Remove the folders of builders that were killed, which are older than a build may take."""
    for folder in finished.parent.glob("image-*/"):
        with suppress(FileNotFoundError):  # its builder lives, and is done
            if _age_of(folder) > BUILD_DEADLINE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _drop_older(archive: Path) -> None:
    """Remove the images of this hub's earlier code; the one that is asked for counts as young."""
    archive.touch()
    kind = archive.name.rpartition("-")[0]
    for other in archive.parent.glob(f"{kind}-*.tar"):
        with suppress(FileNotFoundError):  # somebody else tidies too
            if _age_of(other) > KEPT_SECONDS:
                other.unlink()


def _age_of(path: Path) -> float:
    """In seconds, since it was changed or touched last."""
    return time.time() - path.stat().st_mtime  # noqa: TID251 - file systems have wall time


# --- The archive ---


def write_archive(
    target: Path, *, name: str, layers: Sequence[Path], runtime: Mapping[str, Any] = RUNTIME
) -> None:
    """A Docker archive: the layers from the lowest to the highest, and how to run what they make up."""
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
    """Where this machine has Debian's packages from: its own apt knows."""
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
    """Run the script where nothing that it mounts or starts can outlive it."""
    run(["unshare", "--mount", "--pid", "--fork", "--kill-child", SCRIPT, act, root, *arguments])


def download(requirements: Sequence[str], pinned: str, wheels: Path, *, python: str = PYTHON) -> None:
    """Fetch wheels with this machine's pip, which knows where from; the root file system needs no network."""
    constraints = wheels / "constraints.txt"
    constraints.write_text(pinned)
    options = ["--quiet", "--only-binary=:all:", f"--python-version={python}", f"--constraint={constraints}"]
    run([sys.executable, "-m", "pip", "download", *options, f"--dest={wheels}", *requirements])


def _installer() -> str:
    """The folder of this environment's pip, which runs in any Python."""
    found = find_spec("pip")
    if found is None or found.origin is None:
        raise ClusterUnavailableError("The user image needs pip in the environment that runs the tests.")
    return str(Path(found.origin).parent)


def build_wheel(folder: Path) -> Path:
    """This working tree's k8s_hub; the same code gives the same bytes."""
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
