"""The kubelet: its configuration and its process."""

import json
from pathlib import Path
from typing import Any

from devkit.demo.settings import free_port
from devkit.realcluster.api import Api
from devkit.realcluster.build import NodeBinaries
from devkit.realcluster.controlplane import ControlPlane
from devkit.realcluster.credentials import NODE
from devkit.realcluster.network import Network
from devkit.realcluster.node.containerd import endpoint
from devkit.realcluster.node.space import Space
from devkit.realcluster.process import Process


def kubelet(
    folder: Path, logs: Path, *, plane: ControlPlane, binaries: NodeBinaries, network: Network, space: Space
) -> Process:
    """Write the configuration and return the process, which registers the node."""
    port, health_port = free_port(), free_port()
    config, kubeconfig = folder / "kubelet.json", folder / "kubelet.kubeconfig"
    config.write_text(
        json.dumps(_configuration(folder, plane=plane, network=network, port=port, health_port=health_port))
    )
    plane.write_kubeconfig(kubeconfig, token=plane.layout.credentials.node_token)
    flags = [
        f"--config={config}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NODE}",
        f"--node-ip={network.gateway}",
        f"--root-dir={folder / 'kubelet'}",
        f"--cert-dir={folder / 'kubelet-pki'}",
        "--v=2",
    ]
    health = Api(f"http://127.0.0.1:{health_port}", plane.ca_certificate)
    return Process(
        name="kubelet",
        command=space.inside(binaries.kubelet, *flags),
        log=logs / "kubelet.log",
        is_ready=lambda: health.is_ok("/healthz"),
    )


def _configuration(
    folder: Path, *, plane: ControlPlane, network: Network, port: int, health_port: int
) -> dict[str, Any]:
    names = folder / "resolv.conf"
    names.write_text(f"nameserver {network.gateway}\n")  # nothing listens there, so a look-up fails at once
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        # Only the API server gets in, with its certificate; pods reach this address too.
        "address": str(network.gateway),
        "port": port,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(plane.ca_certificate)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "healthzPort": health_port,
        "containerRuntimeEndpoint": f"unix://{endpoint(folder)}",
        "resolvConf": str(names),
        "clusterDNS": [str(network.gateway)],
        "clusterDomain": "cluster.local",
        "podLogsDir": str(folder / "pod-logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        # The machine may be small, old, shared, and its root without the right to lower scores.
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{folder.name}",
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,  # no registry has them
        # A lost node shall be noticed soon.
        "nodeStatusUpdateFrequency": "1s",
        "nodeStatusReportFrequency": "10s",
        "nodeLeaseDurationSeconds": 4,
        "serializeImagePulls": False,
        "registerNode": True,
    }
