"""Builds the binaries of a real cluster from pinned Go modules, and caches them by a hash of the sources.

The environment variable KUBERNETES, such as 1.32.2, selects another version than the pinned one.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
WANTED = "KUBERNETES"
BUILD_DEADLINE_SECONDS = 3600  # ten minutes on two idle cores with cold caches


class ClusterUnavailableError(Exception):
    """The cluster cannot be built on this machine. The message has what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One Go module. Its `tool` lines name the programs to build."""

    name: str
    root: Path = HERE

    @property
    def folder(self) -> Path:
        return self.root / self.name

    @property
    def fingerprint(self) -> str:
        sources = [path.read_text() for path in sorted(self.folder.rglob("*.go"))]
        go_mod, go_sum = (self.folder / "go.mod").read_text(), (self.folder / "go.sum").read_text()
        made_of = [go_mod, go_sum, self.command, *sources]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]

    @property
    def command(self) -> list[str]:
        flags = linker_flags((self.folder / "go.mod").read_text())
        return ["build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", flags]


def linker_flags(go_mod: str) -> str:
    """Return linker flags that set the version: without them it is v0.0.0, which clients reject."""
    pinned = re.search(r"k8s\.io/kubernetes v(\d+)\.(\d+)\.\d+", go_mod)
    if pinned is None:
        return "-s -w"
    facts = {"gitVersion": pinned[0].split()[1], "gitMajor": pinned[1], "gitMinor": pinned[2]}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return "-s -w " + " ".join(f"-X {p}.{fact}={value}" for p in packages for fact, value in facts.items())


KUBERNETES = Module(name="kubernetes")
KUBELET = Module(name="kubelet")
KWOK = Module(name="kwok")
HELM = Module(name="helm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """The programs of a control plane."""

    etcd: Path
    apiserver: Path
    controller_manager: Path
    scheduler: Path
    kwok: Path
    #: Prints kwok's stages for nodes and pods.
    stages: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBinaries:
    """The programs of a node with containers, and kubectl."""

    kubelet: Path
    kubectl: Path
    #: Waits and reaps children: the first process of a node and of each pod.
    pause: Path


def build() -> Binaries:
    """Return the binaries, from the cache or built now; raise ClusterUnavailableError if that is impossible."""
    wanted = other_version(os.environ)
    kubernetes, kwok = _built(KUBERNETES if wanted is None else _module_of(wanted)), _built(KWOK)
    return Binaries(
        etcd=kubernetes / "server",  # go build names a program after its folder: etcd/server
        apiserver=kubernetes / "kube-apiserver",
        controller_manager=kubernetes / "kube-controller-manager",
        scheduler=kubernetes / "kube-scheduler",
        kwok=kwok / "kwok",
        stages=kwok / "stages",
    )


def build_node() -> NodeBinaries:
    """Return the binaries of a node, like `build`."""
    folder = _built(KUBELET)
    return NodeBinaries(kubelet=folder / "kubelet", kubectl=folder / "kubectl", pause=folder / "pause")


def build_helm() -> Path:
    """Return the program helm, like `build`."""
    return _built(HELM) / "helm"


def other_version(environment: Mapping[str, str]) -> str | None:
    """Return the version in the environment; None is the pinned one."""
    wanted = environment.get(WANTED, "").removeprefix("v")
    if wanted and not re.fullmatch(r"1\.\d+\.\d+", wanted):
        raise ClusterUnavailableError(f"{WANTED}={wanted} is no version of Kubernetes such as 1.32.2.")
    return wanted or None


def _module_of(version: str) -> Module:
    """Return the module of another version: its own go.mod and Go's checksum database pin its requirements."""
    root = cache_folder()
    module = Module(name=f"kubernetes-{version}.module", root=root)
    if not module.folder.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix="module-") as made:
            folder = Path(made) / "module"
            folder.mkdir()
            go = _go()
            words = ["mod", "download", "-json", f"k8s.io/kubernetes@v{version}"]
            downloaded = json.loads(run_tool([go, *words], folder=folder, seconds=BUILD_DEADLINE_SECONDS))
            pinned = (KUBERNETES.folder / "go.mod").read_text()
            upstream = Path(downloaded["GoMod"]).read_text()
            (folder / "go.mod").write_text(go_mod_of(version, pinned, upstream))
            run_tool([go, "mod", "tidy"], folder=folder, seconds=BUILD_DEADLINE_SECONDS)
            folder.rename(module.folder)
    return module


def go_mod_of(version: str, pinned: str, upstream: str) -> str:
    """Return a go.mod with the pinned one's tools, for the version of Kubernetes with the go.mod ``upstream``."""
    head, _, _ = pinned.partition("\nrequire (")
    staging = re.findall(r"^\s*(k8s\.io/\S+) => \./staging", upstream, re.MULTILINE)
    release = f"v0.{version.removeprefix('1.')}"
    replaced = "".join(f"\t{module} => {module} {release}\n" for module in staging)
    return f"{head}\nrequire k8s.io/kubernetes v{version}\n\nreplace (\n{replaced})\n"


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    root = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "k8s-hub" / "box"


def _built(module: Module) -> Path:
    """Return the folder with the module's programs, which is created atomically."""
    finished = cache_folder() / f"{module.name}-{module.fingerprint}"
    if finished.is_dir():
        return finished
    go = _go()
    finished.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=finished.parent, prefix=f"{module.name}-") as folder:
        programs = Path(folder) / "programs"
        _go_build(go, module, programs)
        try:
            programs.rename(finished)
        except OSError:
            if not finished.is_dir():  # otherwise another process built it at the same time
                raise
    return finished


def _go() -> str:
    go = shutil.which("go")
    if go is None:
        raise ClusterUnavailableError(
            "The real control plane is built with Go, and there is no `go` on the PATH. "
            "Install Go 1.26 or newer; `make test` needs none."
        )
    return go


def _go_build(go: str, module: Module, target: Path) -> None:
    print(f"Building {module.name} of the box; this takes minutes, once.", file=sys.stderr, flush=True)
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    run_tool(
        [go, *module.command, "-o", f"{target}/", "tool"],
        folder=module.folder,
        seconds=BUILD_DEADLINE_SECONDS,
        environment=environment,
    )


def run_tool(
    command: Sequence[str | Path],
    *,
    folder: Path,
    seconds: float,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Return the command's output; raise ClusterUnavailableError with the end of it after a failure."""
    result = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    if result.returncode:
        words = " ".join(map(str, command))
        raise ClusterUnavailableError(
            f"`{words}` failed in {folder} with code {result.returncode}:\n{result.stdout[-4000:]}"
        )
    return result.stdout


def main() -> int:
    try:
        binaries, node = build(), build_node()
    except ClusterUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    print(
        "The box is ready:",
        *(program.parent for program in (binaries.apiserver, binaries.kwok, node.kubelet)),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
