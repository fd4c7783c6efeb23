"""containerd from Debian's package, with all its files in the node's folder."""

import json
import socket
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from devkit.realcluster.images import write_archive
from devkit.realcluster.needs import PLUGINS
from devkit.realcluster.network import Network
from devkit.realcluster.node.space import Space
from devkit.realcluster.process import Process, ProcessFailedError

PAUSE_IMAGE = "k8s-hub/pause:box"
IMPORT_SECONDS = 300

# Plugins that would write elsewhere, or that only complain, are off. The out-of-memory score of a container is
# left as it is where the machine does not let root lower it. A registry at localhost is asked without TLS.
CONFIG = """version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox_image}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
"""


def containerd(folder: Path, logs: Path, network: Network, space: Space) -> Process:
    """Write the configuration and return the process."""
    config = folder / "containerd.toml"
    config.write_text(CONFIG.format(folder=folder, sandbox_image=PAUSE_IMAGE, plugins=PLUGINS))
    (folder / "cni").mkdir()
    (folder / "cni/box.conflist").write_text(json.dumps(_pod_network(folder, network)))
    return Process(
        name="containerd",
        command=space.inside("containerd", f"--config={config}"),
        log=logs / "containerd.log",
        is_ready=lambda: _answers(endpoint(folder)),
    )


def endpoint(folder: Path) -> Path:
    """Return its socket."""
    return folder / "containerd.sock"


def load_image(folder: Path, archive: Path) -> None:
    """Import an image, so that the kubelet needs no registry."""
    _images(folder, "import", str(archive))


def has_image(folder: Path, name: str) -> bool:
    """Return whether an image of this name, without a host, was imported."""
    return f"docker.io/{name}" in _images(folder, "list", "--quiet").split()


def _images(folder: Path, *arguments: str) -> str:
    command = ["ctr", f"--address={endpoint(folder)}", "--namespace=k8s.io", "images", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_SECONDS, check=False)
    if result.returncode:
        raise ProcessFailedError(f"`{' '.join(command)}` failed: {result.stderr}")
    return result.stdout


def pack_pause_image(folder: Path, pause: Path) -> Path:
    """Pack the image of the pause container."""
    layer, archive = folder / "pause-layer.tar", folder / "pause.tar"
    with tarfile.open(layer, "w") as content:
        content.add(pause, "pause")
    write_archive(
        archive, name=PAUSE_IMAGE, layers=[layer], runtime={"Entrypoint": ["/pause"], "User": "65535"}
    )
    return archive


def _pod_network(folder: Path, network: Network) -> dict[str, Any]:
    """Configure CNI without the gateway's address: the bridge has it, and CNI would enable forwarding for all links."""
    addresses = {"subnet": str(network.pods), "gateway": str(network.gateway)}
    ipam = {
        "type": "host-local",
        "dataDir": str(folder / "addresses"),
        "ranges": [[addresses]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": network.bridge, "isGateway": False, "ipMasq": False, "ipam": ipam}
    return {"cniVersion": "0.4.0", "name": "box", "plugins": [bridge]}


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
