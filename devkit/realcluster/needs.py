"""The requirements of a real cluster, and how to install what is missing."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from devkit.realcluster.build import ClusterUnavailableError

PATH = f"{os.defpath}:/usr/local/sbin:/usr/sbin:/sbin"  # includes root's programs for every user
PLUGINS = "/usr/lib/cni"  # Debian's folder of CNI plugins
INSTALL = "devkit/realcluster/install.sh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program and its Debian package."""

    program: str
    package: str

    @property
    def is_there(self) -> bool:
        return self.path is not None

    @property
    def path(self) -> str | None:
        return shutil.which(self.program, path=f"{os.environ.get('PATH', '')}:{PATH}")


GO = Tool(program="go", package="")
DEBIAN = (
    Tool(program="containerd", package="containerd"),
    Tool(program="ctr", package="containerd"),
    Tool(program="runc", package="runc"),
    Tool(program=f"{PLUGINS}/bridge", package="containernetworking-plugins"),
    Tool(program=f"{PLUGINS}/host-local", package="containernetworking-plugins"),
    Tool(program="ip", package="iproute2"),
    Tool(program="debootstrap", package="debootstrap"),
    Tool(program="nsenter", package="util-linux"),
    Tool(program="setpriv", package="util-linux"),
    Tool(program="mount", package="mount"),
    Tool(program="/bin/busybox", package="busybox-static"),
)

BROWSER = Tool(program="chromium", package="chromium")  # of `make test-browser`


def lacks_of_a_control_plane() -> list[str]:
    """Return a line for each missing requirement of a control plane."""
    return [] if GO.is_there else ["there is no `go` on the PATH; install Go 1.26 or newer"]


def lacks_of_a_node() -> list[str]:
    """Return a line for each missing requirement of a cluster with containers."""
    lacks = lacks_of_a_control_plane()
    if os.geteuid() != 0:
        lacks.append("only root can run containers; run as root")
    packages = packages_to_install(DEBIAN)
    if packages:
        missing = sorted({tool.program for tool in DEBIAN if not tool.is_there})
        lacks.append(
            f"there is no {', '.join(missing)}; run {INSTALL} as root (apt-get install {' '.join(packages)})"
        )
    return lacks


def packages_to_install(tools: Sequence[Tool]) -> Sequence[str]:
    """Return the Debian packages of missing programs."""
    return sorted({tool.package for tool in tools if not tool.is_there})


def demand_a_node() -> None:
    """Raise ClusterUnavailableError if a requirement of a cluster with containers is missing."""
    lacks = lacks_of_a_node()
    if lacks:
        raise ClusterUnavailableError("A cluster with containers cannot run here: " + "; ".join(lacks) + ".")
